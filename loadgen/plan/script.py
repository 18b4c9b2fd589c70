"""The steps of a script, as values: what a plan file's `steps` and an imported Tsung session are
made of.

Text may name variables as `%%_name%%`, as in Tsung. In requests and matches they are put in where a
step says `subst`, everywhere else always. One that was never set gives the text `undefined`.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Union

import msgspec

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
    """What all parts of a script have in common."""


class Condition(_Value, frozen=True, kw_only=True):
    """A variable compared with a value: `eq` and `neq` as text, the others as numbers."""

    var: str
    op: Op = "eq"
    value: str


class Match(_Value, frozen=True, kw_only=True):
    """What follows when a reply matches a regular expression, or does not.

    Of several that apply, the first that does more than count decides: it sends the request again
    (`loop`), begins the session anew (`restart`), ends it (`abort`), or ends the whole run
    (`abort_test`). `log` and `dump` count, as `continue` does.
    """

    pattern: str
    when: Literal["match", "nomatch"] = "match"
    do: Literal["continue", "log", "dump", "loop", "restart", "abort", "abort_test"] = "continue"
    name: str = "-"
    subst: bool = False
    max_loop: Count = 20
    """So often the request is sent again, then the session goes on."""
    loop_back: Count = 0
    """How many steps before the request it begins again; beginning and end of a block count as
    steps."""
    max_restart: Count = 3
    """So often the session begins anew, then it is aborted."""
    sleep_loop: NotNegative = 5.0
    """Seconds before the request is sent again."""


class Extract(_Value, frozen=True, kw_only=True):
    """A variable set from a reply: to the first group of a regular expression, to what a JSONPath
    finds, or to a header of the 101; empty when nothing is found."""

    var: str
    by: Literal["re", "jsonpath", "header"] = "re"
    expr: str
    decode: bool = False
    """HTML entities are resolved."""


class _Request(_Value, frozen=True, kw_only=True):
    """What all steps have that may await a reply."""

    subst: bool = False
    match: tuple[Match, ...] = ()
    extract: tuple[Extract, ...] = ()


class Connect(_Request, frozen=True, kw_only=True, tag_field="do", tag="connect"):
    """Opens a connection to the target, or to `url`; with a path of its own, with further
    headers."""

    path: str = ""
    url: str = ""
    """Another target of the plan's `targets`."""
    origin: str = ""
    subprotocols: tuple[str, ...] = ()
    headers: dict[str, str] = {}


class Send(_Request, frozen=True, kw_only=True, tag_field="do", tag="send"):
    """Sends a message; with `ack` the next message from the server is awaited as the reply.

    What had come before is not taken for it. Without a reply within the plan's `receive_timeout`
    the session ends.
    """

    text: str
    frame: Literal["text", "binary"] = "text"
    ack: bool = False


class Receive(_Request, frozen=True, kw_only=True, tag_field="do", tag="receive"):
    """Takes the next message, also one that came before; without any within the
    `receive_timeout` the session ends."""


class Ping(_Value, frozen=True, kw_only=True, tag_field="do", tag="ping"):
    """Sends a PING and awaits its PONG."""


class Close(_Value, frozen=True, kw_only=True, tag_field="do", tag="close"):
    """Closes the connection and awaits the server's CLOSE."""


class Think(_Value, frozen=True, kw_only=True, tag_field="do", tag="think"):
    """Waits: `seconds`; with `random` exponentially distributed around that; with `upto` evenly
    between both."""

    seconds: Seconds = 5.0
    random: bool = False
    upto: NotNegative | None = None


class SetVars(_Value, frozen=True, kw_only=True, tag_field="do", tag="set"):
    """Sets variables from a source.

    `file` and `server` (host, port) give one value to each name, a missing one is empty; the random
    sources draw one for each; the others give theirs to the first.
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
    ]
    value: str = ""
    """The value; or the JSONPath, or the regular expression, whose first group is taken."""
    start: int = 1
    end: int = 10
    """Of a random number, both inclusive."""
    length: Annotated[int, msgspec.Meta(ge=0, le=65536)] = 20
    """Of a random string (`urandom_string`: always the same letters, which costs less)."""
    file: str = ""
    """The id of one of the plan's `files`."""
    order: Literal["iter", "random"] = "iter"
    """`iter`: user k begins with line k, each further draw takes the next line; after the last
    comes the first."""
    delimiter: str = ";"
    var: str = ""
    """The variable that a jsonpath or a regular expression looks through."""


class Transaction(_Value, frozen=True, kw_only=True, tag_field="do", tag="transaction"):
    """Steps that are timed together."""

    name: str
    steps: tuple["Step", ...]


class For(_Value, frozen=True, kw_only=True, tag_field="do", tag="for"):
    """Counts a variable from `first` to `last`, both inclusive; as in Tsung the steps are done
    at least once."""

    var: str
    first: Whole
    last: Whole
    step: int = 1
    steps: tuple["Step", ...]


class Repeat(_Value, frozen=True, kw_only=True, tag_field="do", tag="repeat"):
    """Does its steps, and again while (or until) the condition holds, `most` times more at most.

    The variable `name` counts the turns, in Tsung's way: over the whole session, also when the loop
    is come to again.
    """

    name: str
    most: Count = 20
    until: bool = False
    """The condition ends it; otherwise the condition keeps it going."""
    condition: Condition
    steps: tuple["Step", ...]


class If(_Value, frozen=True, kw_only=True, tag_field="do", tag="if"):
    """Does its steps when the condition holds, and, as in Tsung, when its variable was never
    set."""

    condition: Condition
    steps: tuple["Step", ...]


class Foreach(_Value, frozen=True, kw_only=True, tag_field="do", tag="foreach"):
    """Does its steps for each value of a list variable that matches `include` and does not match
    `exclude`.

    As in Tsung they are done once when no value is left.
    """

    var: str
    values: str
    """The list variable's name."""
    include: str = ""
    exclude: str = ""
    steps: tuple["Step", ...]


class Meet(_Value, frozen=True, kw_only=True, tag_field="do", tag="meet"):
    """Waits until so many users of the whole fleet have come here; who comes later goes on at
    once."""

    users: Annotated[int, msgspec.Meta(ge=1)] = 100


class Abort(_Value, frozen=True, kw_only=True, tag_field="do", tag="abort"):
    """Ends the session, or with `all` the whole run: it has failed."""

    all: bool = False


class Option(_Value, frozen=True, kw_only=True, tag_field="do", tag="option"):
    """Changes an option of the connections that the session opens from then on."""

    name: Literal["connect_timeout", "read_rate"]
    value: NotNegative
    """Seconds; bytes a second."""


class Change(_Value, frozen=True, kw_only=True, tag_field="do", tag="change"):
    """Goes on with another target of the plan; the connection so far is closed, or kept aside
    (`store`).

    With `restore` the connection that was kept aside before is taken up again.
    """

    url: str
    store: bool = False
    restore: bool = False


class Interaction(_Value, frozen=True, kw_only=True, tag_field="do", tag="interaction"):
    """Times the way from a user's `send` to any later `receive` of the same id on the same
    worker, as `tr_ID`."""

    id: str
    action: Literal["send", "receive"]


Step = Annotated[
    Union[  # noqa: UP007  # the forward reference in a tuple needs the typing form
        Connect,
        Send,
        Receive,
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
    """The steps and all that stand in their blocks, in the order in which they are written."""
    for step in steps:
        yield step
        if isinstance(step, Transaction | For | Repeat | If | Foreach):
            yield from steps_in(step.steps)
