"""The steps of a script, from a plan file's `steps` or an imported Tsung session.

Text may name variables as `%%_name%%`, as in Tsung. In requests and matches their values are put in
where a step says `subst`, everywhere else always. A variable that was never set gives the text
`undefined`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal, Union

import msgspec

from loadgen.plan.byte_text import Form, bytes_of_base64, bytes_of_hex
from loadgen.plan.phases import NotNegative

Count = Annotated[int, msgspec.Meta(ge=0)]
Op = Literal["eq", "neq", "gt", "gte", "lt", "lte"]
Seconds = NotNegative | str
"""A duration, or a variable that holds one, as `%%_name%%`."""
Whole = int | str
"""A whole number, or a variable that holds one, as `%%_name%%`."""


class _Value(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """The base of all parts of a script."""


ReplyForm = Form | Literal["http"]
"""How a reply is read: `http` is an HTTP reply with its status line and its headers."""


class Condition(_Value, frozen=True, kw_only=True):
    """A variable compared with a value.

    `eq` and `neq` compare texts, the others numbers.
    """

    var: str
    op: Op = "eq"
    value: str


class Match(_Value, frozen=True, kw_only=True):
    """An action on a reply that matches a regular expression, or does not.

    Of several that apply, the first that does more than count decides: it sends the request again
    (`loop`), begins the session anew (`restart`), ends it (`abort`), or ends the whole run
    (`abort_test`). `log` and `dump` count, as `continue` does.
    """

    pattern: str
    when: Literal["match", "nomatch"] = "match"
    do: Literal["continue", "log", "dump", "loop", "restart", "abort", "abort_test"] = "continue"
    name: str = "-"
    subst: bool = False
    form: ReplyForm = "text"
    """How the reply is read: as text, its bytes as hexadecimal digits or base64, or an HTTP reply
    with its head."""
    max_loop: Count = 20
    """Times that the request is sent again; then the session goes on."""
    loop_back: Count = 0
    """Steps before the request at which it begins again; beginning and end of a block count as
    steps."""
    max_restart: Count = 3
    """Times that the session begins anew; then it is aborted."""
    sleep_loop: NotNegative = 5.0
    """Seconds before the request is sent again."""


class Extract(_Value, frozen=True, kw_only=True):
    """A variable set from a reply; empty when nothing is found.

    Its value is the first group of a regular expression, what a JSONPath finds, or a header of the
    101 or a cookie that it sets, by its name. Values of a repeated header are joined by commas.
    """

    var: str
    by: Literal["re", "jsonpath", "header", "cookie"] = "re"
    expr: str
    decode: bool = False
    """True when HTML entities are decoded."""
    form: ReplyForm = "text"
    """How a regular expression reads the reply, as in a match."""


class ReplyCheck(_Value, frozen=True, kw_only=True):
    """A condition on a reply, counted as passed or failed under its name.

    All that it names must hold. A reply that never came fails it.
    """

    name: str
    pattern: str = ""
    """A regular expression that the reply matches."""
    not_pattern: str = ""
    """A regular expression that the reply does not match."""
    jsonpath: str = ""
    """A JSONPath that finds something in the reply."""
    equals: str | int | float | bool | None = None
    """The value that the JSONPath finds."""
    status: int | tuple[int, ...] = ()
    """The status of the reply to an HTTP request, or those that it may have."""
    fatal: bool = False
    """True when the session ends where the check fails."""


class _Request(_Value, frozen=True, kw_only=True):
    """The fields of all steps that may await a reply."""

    subst: bool = False
    match: tuple[Match, ...] = ()
    extract: tuple[Extract, ...] = ()
    check: tuple[ReplyCheck, ...] = ()


class _Awaiting(_Request, frozen=True, kw_only=True):
    """The fields of steps that may wait for a certain message."""

    until: str = ""
    """A regular expression: the reply is the next message that it matches, and those before it
    are counted as unasked. Empty: the next message."""
    until_form: Form = "text"
    """How `until` reads a message."""


class Connect(_Request, frozen=True, kw_only=True, tag_field="do", tag="connect"):
    """Opens a connection to the target or `url`, with another path or headers."""

    path: str = ""
    url: str = ""
    """Another target of the plan's `targets`."""
    origin: str = ""
    subprotocols: tuple[str, ...] = ()
    headers: dict[str, str] = {}


class Send(_Awaiting, frozen=True, kw_only=True, tag_field="do", tag="send"):
    """Sends a message: `text`, or the bytes that `base64` or `hex` write.

    With `ack` the next message from the server is awaited as the reply.

    A message that had come before is not the reply. Without a reply within the plan's
    `receive_timeout` the session ends.
    """

    text: str | None = None
    base64: str | None = None
    hex: str | None = None
    """Digits, two a byte, with blanks between them or without."""
    frame: Literal["text", "binary"] | None = None
    """None: text for `text`, which in a binary frame is sent as UTF-8, and binary for bytes."""
    ack: bool = False

    @property
    def content(self) -> str:
        """The message as the plan writes it; empty where it writes none."""
        return next(
            (given for given in (self.text, self.base64, self.hex) if given is not None), ""
        )

    @property
    def bytes_of(self) -> Callable[[str], bytes] | None:
        """The function that reads the bytes of its content; None for text.

        It raises ValueError for a text that does not write bytes.
        """
        if self.base64 is not None:
            return bytes_of_base64
        return bytes_of_hex if self.hex is not None else None


class Receive(_Awaiting, frozen=True, kw_only=True, tag_field="do", tag="receive"):
    """Takes the next message, also one that came before.

    Without a message within the plan's `receive_timeout` the session ends.
    """


class HttpStep(_Request, frozen=True, kw_only=True, tag_field="do", tag="http"):
    """Sends an HTTP request.

    Its reply is what `match`, `extract` and `check` look at. Cookies of replies are sent with later
    requests. Without a reply the session ends.
    """

    url: str
    """A path is one of the target's own host; after a `change` the other target's."""
    method: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{1,20}$")] = "GET"
    name: str = ""
    """The request is timed as `http_NAME` too."""
    headers: dict[str, str] = {}
    text: str = ""
    """The body; at most one of `text`, `json` and `form`."""
    json: dict[str, Any] | list[Any] | None = None
    """The body, as JSON."""
    form: dict[str, str] = {}
    """The fields of a form, as the body."""
    auth: tuple[str, str] | None = None
    """A name and a password, for Basic authentication (RFC 7617)."""
    redirects: bool = True
    """False: a redirect is the reply, and is not followed."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 30.0
    """Seconds until the whole reply has come."""


class Ping(_Value, frozen=True, kw_only=True, tag_field="do", tag="ping"):
    """Sends a PING and awaits its PONG."""


class Close(_Value, frozen=True, kw_only=True, tag_field="do", tag="close"):
    """Closes the connection and awaits the server's CLOSE."""


class Think(_Value, frozen=True, kw_only=True, tag_field="do", tag="think"):
    """Waits for `seconds`.

    With `random` the time is exponentially distributed around that, with `upto` evenly between
    both.
    """

    seconds: Seconds = 5.0
    random: bool = False
    upto: NotNegative | None = None


class SetVars(_Value, frozen=True, kw_only=True, tag_field="do", tag="set"):
    """Sets variables from a source.

    `file` and `server` (host, port) give one value to each name, empty where they have too few; the
    random sources draw one value for each; the others give their value to the first.

    `base64` and `hex` write the bytes of `value` in UTF-8, and `bytes` those that `value` writes in
    hexadecimal digits: so a script builds a binary message whose parts have lengths.
    """

    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    source: Literal[
        "random_number",
        "random_string",
        "urandom_string",
        "value",
        "file",
        "server",
        "jsonpath",
        "re",
        "base64",
        "hex",
        "bytes",
    ]
    value: str = ""
    """The value, or the JSONPath, or the regular expression, of which the first group is taken."""
    prefix: Literal["", "u8", "u16", "u32", "varint"] = ""
    """How the length stands before the bytes of `hex` and `bytes`: big-endian in that number of
    bits, or in groups of seven bits, the lowest first (MQTT, Protocol Buffers)."""
    start: int = 1
    end: int = 10
    """The end of a random number's range; `start` and `end` are inclusive."""
    length: Annotated[int, msgspec.Meta(ge=0, le=65536)] = 20
    """The length of a random string; `urandom_string` has always the same letters, at less cost."""
    file: str = ""
    """The id of one of the plan's `files`."""
    order: Literal["iter", "random"] = "iter"
    """With `iter` user k begins with line k, and each further draw takes the next line; the first
    line follows the last."""
    delimiter: str = ";"
    var: str = ""
    """The variable that a JSONPath or a regular expression searches."""


class Transaction(_Value, frozen=True, kw_only=True, tag_field="do", tag="transaction"):
    """Steps that are timed together."""

    name: str
    steps: tuple["Step", ...]


class For(_Value, frozen=True, kw_only=True, tag_field="do", tag="for"):
    """Does its steps for each value of a variable, from `first` through `last`.

    As in Tsung the steps are done at least once.
    """

    var: str
    first: Whole
    last: Whole
    step: int = 1
    steps: tuple["Step", ...]


class Repeat(_Value, frozen=True, kw_only=True, tag_field="do", tag="repeat"):
    """Does its steps, and again while (or until) a condition holds.

    It repeats them at most `most` times more.

    The variable `name` counts the turns as Tsung does: over the whole session, also when the
    session reaches the loop again.
    """

    name: str
    most: Count = 20
    until: bool = False
    """True when the condition ends the loop; otherwise the condition continues it."""
    condition: Condition
    steps: tuple["Step", ...]


class If(_Value, frozen=True, kw_only=True, tag_field="do", tag="if"):
    """Does its steps when the condition holds.

    As in Tsung they are also done when its variable is not set.
    """

    condition: Condition
    steps: tuple["Step", ...]


class Foreach(_Value, frozen=True, kw_only=True, tag_field="do", tag="foreach"):
    """Does its steps for each value of a list variable.

    A value has to match `include` and must not match `exclude`.

    As in Tsung they are done once when no value is left.
    """

    var: str
    values: str
    """The list variable's name."""
    include: str = ""
    exclude: str = ""
    steps: tuple["Step", ...]


class Meet(_Value, frozen=True, kw_only=True, tag_field="do", tag="meet"):
    """Waits until `users` users of the whole fleet are here.

    A later user goes on at once.
    """

    users: Annotated[int, msgspec.Meta(ge=1)] = 100


class Abort(_Value, frozen=True, kw_only=True, tag_field="do", tag="abort"):
    """Ends the session, or with `all` the whole run: it has failed."""

    all: bool = False


class Option(_Value, frozen=True, kw_only=True, tag_field="do", tag="option"):
    """Changes an option of the connections that the session opens after it."""

    name: Literal["connect_timeout", "read_rate"]
    value: NotNegative
    """Seconds; bytes a second."""


class Change(_Value, frozen=True, kw_only=True, tag_field="do", tag="change"):
    """Goes on with another target of the plan.

    The connection so far is closed, or kept (`store`).

    With `restore` the session goes on with the connection that it kept before.
    """

    url: str
    store: bool = False
    restore: bool = False


class Interaction(_Value, frozen=True, kw_only=True, tag_field="do", tag="interaction"):
    """Times, as `tr_ID`, from a `send` to any later `receive` of that id.

    Both are on one worker.
    """

    id: str
    action: Literal["send", "receive"]


Step = Annotated[
    Union[  # noqa: UP007  # the forward reference in a tuple needs the typing form
        Connect,
        Send,
        Receive,
        HttpStep,
        Ping,
        Close,
        Think,
        SetVars,
        Transaction,
        For,
        Repeat,
        If,
        Foreach,
        Meet,
        Abort,
        Option,
        Change,
        Interaction,
    ],
    msgspec.Meta(),
]


def steps_in(steps: Sequence[Step]) -> Iterator[Step]:
    """Yields the steps and those in their blocks, in the order of their text."""
    return (step for _, step in located_in(steps, ""))


def located_in(steps: Sequence[Step], at: str) -> Iterator[tuple[str, Step]]:
    """Yields these steps with their paths in a plan; `at` is the path of their owner."""
    for place, step in enumerate(steps):
        here = f"{at}.steps[{place}]"
        yield here, step
        if isinstance(step, Transaction | For | Repeat | If | Foreach):
            yield from located_in(step.steps, here)


RequestStep = Connect | Send | Receive | HttpStep
"""The steps whose reply is looked at."""


def texts_in(value: Any) -> Iterator[str]:
    """Yields the texts in a JSON value, without the keys of objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)
