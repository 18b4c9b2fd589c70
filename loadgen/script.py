"""The steps of a script, as values: what a plan file's `steps` and an imported Tsung session are made of.

Text may name variables as `%%_name%%`, as in Tsung; they are put in where a step says `subst`.
"""

from typing import Annotated, Literal, Union

import msgspec

Op = Literal["eq", "neq", "gt", "gte", "lt", "lte"]
Number = float | str
"""A number, or the name of a variable as `%%_name%%`."""


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What all parts of a script have in common."""


class Condition(_Value, frozen=True, kw_only=True):
    """A variable compared with a value; both as numbers where both are."""

    var: str
    op: Op = "eq"
    value: str = ""


class Match(_Value, frozen=True, kw_only=True):
    """What follows when a reply matches a regular expression, or does not; the first of several that applies counts."""

    pattern: str
    when: Literal["match", "nomatch"] = "match"
    do: Literal["continue", "log", "dump", "loop", "restart", "abort", "abort_test"] = "continue"
    name: str = "-"
    subst: bool = False
    max_loop: int = 20
    loop_back: int = 0
    max_restart: int = 3
    sleep_loop: float = 5.0
    """Seconds before the request is sent again."""


class Extract(_Value, frozen=True, kw_only=True):
    """A variable set from a reply; empty when nothing is found."""

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
    tag: str = ""


class Connect(_Request, frozen=True, kw_only=True, tag_field="do", tag="connect"):
    """Opens a connection to the target, or to `url`; with a path of its own, with further headers."""

    path: str = ""
    url: str = ""
    """Another target of the plan's `targets`."""
    origin: str = ""
    subprotocols: tuple[str, ...] = ()
    headers: dict[str, str] = {}


class Send(_Request, frozen=True, kw_only=True, tag_field="do", tag="send"):
    """Sends a message; with `ack` the next message from the server is awaited as the reply."""

    text: str
    frame: Literal["text", "binary"] = "text"
    ack: bool = False


class Receive(_Request, frozen=True, kw_only=True, tag_field="do", tag="receive"):
    """Awaits the next message; without one in time the session fails."""

    timeout: float = 600.0


class Ping(_Value, frozen=True, kw_only=True, tag_field="do", tag="ping"):
    """Sends a PING and awaits its PONG."""


class Close(_Value, frozen=True, kw_only=True, tag_field="do", tag="close"):
    """Closes the connection and awaits the server's CLOSE."""


class Think(_Value, frozen=True, kw_only=True, tag_field="do", tag="think"):
    """Waits: `seconds`; with `random` exponentially distributed around that; with `low` and `high` uniformly."""

    seconds: Number = 5.0
    random: bool = False
    low: Number | None = None
    high: Number | None = None
    wait_for: int = 0
    """Instead: until so many users of the whole fleet have come here (Tsung's wait_global)."""


class SetVars(_Value, frozen=True, kw_only=True, tag_field="do", tag="set"):
    """Sets variables from a source."""

    names: tuple[str, ...]
    source: Literal["random_number", "random_string", "urandom_string", "value", "file", "server", "jsonpath", "re"]
    value: str = ""
    start: int = 1
    end: int = 10
    length: int = 20
    file: str = ""
    """The id of one of the plan's `files`."""
    order: Literal["iter", "random"] = "iter"
    delimiter: str = ";"
    var: str = ""
    """The variable that a jsonpath or a regular expression looks through."""


class Transaction(_Value, frozen=True, kw_only=True, tag_field="do", tag="transaction"):
    """Steps that are timed together."""

    name: str
    steps: tuple["Step", ...]


class For(_Value, frozen=True, kw_only=True, tag_field="do", tag="for"):
    """Counts a variable from `first` to `last`, both inclusive; as in Tsung the steps are done at least once."""

    var: str
    first: Number
    last: Number
    step: Number = 1
    steps: tuple["Step", ...]


class Repeat(_Value, frozen=True, kw_only=True, tag_field="do", tag="repeat"):
    """Does its steps, and again while (or until) the condition holds, `most` times at most."""

    name: str
    most: int = 20
    until: bool = False
    """The condition ends it; otherwise the condition keeps it going."""
    condition: Condition
    steps: tuple["Step", ...]


class If(_Value, frozen=True, kw_only=True, tag_field="do", tag="if"):
    """Does its steps when the condition holds, and, as in Tsung, when its variable was never set."""

    condition: Condition
    steps: tuple["Step", ...]


class Foreach(_Value, frozen=True, kw_only=True, tag_field="do", tag="foreach"):
    """Does its steps for each value of a list variable, those left out that do not fit the expressions."""

    var: str
    values: str
    """The list variable's name."""
    include: str = ""
    exclude: str = ""
    steps: tuple["Step", ...]


class Abort(_Value, frozen=True, kw_only=True, tag_field="do", tag="abort"):
    """Ends the session, or the whole run."""

    all: bool = False


class Option(_Value, frozen=True, kw_only=True, tag_field="do", tag="option"):
    """Changes an option for the rest of the session."""

    name: Literal["read_rate", "connect_timeout"]
    value: Number


class Change(_Value, frozen=True, kw_only=True, tag_field="do", tag="change"):
    """Goes on with another target of the plan; the connection is kept (`store`), or taken up again (`restore`)."""

    url: str
    store: bool = False
    restore: bool = False


class Interaction(_Value, frozen=True, kw_only=True, tag_field="do", tag="interaction"):
    """Times the way from one user's `send` to another's `receive` of the same id, on one worker."""

    id: str
    action: Literal["send", "receive"]


Step = Annotated[
    Union[  # noqa: UP007  # the forward reference in a tuple needs the typing form
        Connect, Send, Receive, Ping, Close, Think, SetVars, Transaction, For, Repeat, If, Foreach, Abort, Option,
        Change, Interaction,
    ],
    msgspec.Meta(),
]  # fmt: skip
