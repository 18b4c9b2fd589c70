"""The verdict on a case, by Autobahn's rules."""

from collections.abc import Sequence
from typing import NamedTuple

from tests.conformance.case import Case, Happened
from tests.conformance.peer import Peer

PASSED, NON_STRICT, FAILED, INFORMATIONAL, SKIPPED = (
    "passed",
    "non-strict",
    "failed",
    "informational",
    "skipped",
)


class Verdict(NamedTuple):
    """The end of a case."""

    name: str
    outcome: str
    close: str
    """The code of the client's CLOSE."""
    why: str = ""
    """What is wrong, or why it is skipped."""

    @property
    def group(self) -> int:
        """The first part of the case's name."""
        return int(self.name.partition(".")[0])


def judge(case: Case, peer: Peer) -> Verdict:
    """Returns the verdict on a case whose connection is over."""
    way = ("no code" if peer.code is None else str(peer.code)) if peer.clean else "no CLOSE"
    if case.informational:
        return Verdict(case.name, INFORMATIONAL, way)
    if wrong := peer.fault or _wrong(case, peer):
        return Verdict(case.name, FAILED, way, wrong)
    strict = tuple(peer.happened) == tuple(case.expected)
    return Verdict(case.name, PASSED if strict else NON_STRICT, way)


def _wrong(case: Case, peer: Peer) -> str:
    """Returns what is wrong with the way it went and ended, if anything."""
    happened = tuple(peer.happened)
    if happened not in {tuple(case.expected), case.lenient}:
        return f"it did {_words(happened)} instead of {_words(case.expected)}"
    if peer.closed_by_client != case.client_ends:
        return f"the {'client' if peer.closed_by_client else 'server'} had to end it"
    if case.clean and not peer.clean:
        return "it sent no CLOSE"
    echoed = any(payload for _, payload in case.expected) or not case.expected
    if case.deflate and not case.client_ends and echoed and not peer.compressed:
        return "it compressed no message"
    if peer.code is not None and peer.code not in case.codes:
        return f"its CLOSE had the code {peer.code}, not {' or '.join(map(str, case.codes))}"
    return ""


def _words(happened: Sequence[Happened]) -> str:
    """Returns what happened, short enough for a table."""
    if not happened:
        return "nothing"
    return ", ".join(f"{kind} of {len(payload)} bytes" for kind, payload in happened[:4])


GROUPS = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "reserved opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing handshake",
    9: "limits and many round trips",
    10: "automatic fragmentation",
    12: "permessage-deflate, five kinds of data",
    13: "permessage-deflate, seven sets of parameters",
    14: "permessage-deflate, by RFC 7692",
}
"""What each group is about."""
