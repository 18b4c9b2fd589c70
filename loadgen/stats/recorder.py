"""The events of one worker as they happen.

They are the tally of the second, samples of failures, remarks, and signs of life.
"""

from collections import deque
from copy import copy
from random import Random

from loadgen.stats.delays import Delays
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.fanin import Slice
from loadgen.stats.tally import MAX_NAMES, OTHER, Tally, name_of

MICROSECONDS = 1_000_000
"""In a second."""
MAX_SAMPLES = 100
"""Reasons of which a worker writes a sample, however many a server makes it count."""
MAX_CHECK_SAMPLES = 50
"""The samples after which a worker writes none of a check: a session may name many checks."""
MAX_OWN_NAMES = 100
"""The counters, timings or checks that one user may be the first on its worker to name: others keep
theirs, whatever names it makes up."""
MAX_REMARKS = 10
"""Remarks kept of one second."""
MAX_REMARK_LENGTH = 2000
"""In characters."""


class Recorder:
    """The tally that connections and users of one worker write into.

    It is swapped every second. Where results are split, each slice of the users has a recorder of
    its own.
    """

    __slots__ = (
        "_asked",
        "_heard",
        "_named",
        "_names",
        "_remarks",
        "_sampled",
        "_slices",
        "bits",
        "delays",
        "deliveries",
        "heard",
        "moved",
        "samples",
        "tally",
    )

    def __init__(self, seed: int, window: int | None = None) -> None:
        """`window` is the seconds within which a connection is heard if it is alive.

        None: life is not verified.
        """
        self.tally = Tally()
        """Of the current second."""
        self.heard = [0]
        """The number of open connections that were last heard in the current second: a list of this
        one count. A connection moves itself from the list of one second to that of another, and so
        needs no time of its own."""
        self._heard = None if window is None else deque([self.heard], window + 1)
        """Those of the current second and of the window before it, oldest first."""
        self.moved = 0
        """Users of a slice, in the current second, whose first connection goes to the target of
        another slice: they count as launched there."""
        self._slices: dict[int, Recorder] = {}
        """The recorders of slices, by place."""
        self.delays = Delays()
        """The worker's own, in the current second."""
        self.bits = Random(seed).getrandbits
        """Masks and keys. RFC 6455 section 10.3 wants masks unpredictable against attackers in a
        browser; a load generator has none, so a fast generator does."""
        self.samples: dict[str, str] = {}
        """Texts for people by the ledger's reason, since they were last taken: the traceback of a
        session, or the reply that refused a handshake. Who claims a reason writes its sample."""
        self._sampled: set[str] = set()
        self._names: dict[str, set[str]] = {"counters": set(), "timings": set(), "checks": set()}
        self._named: dict[tuple[str, int], int] = {}
        """The names that users were the first to use, by kind and user."""
        self._remarks: list[str] = []
        self._asked: list[str] = []
        """The reasons for which sessions asked for the end of the whole run."""
        self.deliveries: Deliveries | None = None
        """The publications that are received; None in a run without any."""

    def of_slice(self, place: int) -> "Recorder":
        """Returns the recorder of a slice of the users.

        It has a tally and signs of life of its own. Everything else is the worker's, which has to
        have its `deliveries` before.
        """
        found = self._slices.get(place)
        if found is None:
            found = self._slices[place] = copy(self)
            found._slices = {}
            found.tally = Tally()
            found.heard = [0]
            if self._heard is not None:
                found._heard = deque([found.heard], self._heard.maxlen)
        return found

    def sample(self, reason: str, user: int, words: str) -> None:
        """Keeps what happened to a user as the sample of a reason, if that has none yet."""
        if self.claim(reason):
            self.samples[reason] = f"user {user}: {words}"

    def claim(self, reason: str, most: int = MAX_SAMPLES) -> bool:
        """Returns True once for each reason: the caller then writes its sample.

        After `most` reasons it returns False.
        """
        if reason in self._sampled or len(self._sampled) >= most:
            return False
        self._sampled.add(reason)
        return True

    def name_for(self, kind: str, name: str, user: int) -> str:
        """Returns the name under which something of a user counts, which may be OTHER.

        `kind` is the field of the tally. Only a name that the second does not have is asked for.
        """
        name, known = name_of(name), self._names[kind]
        if name not in known:
            named = self._named.get((kind, user), 0)
            if len(known) >= MAX_NAMES or named >= MAX_OWN_NAMES:
                return OTHER
            known.add(name)
            self._named[kind, user] = named + 1
        return name

    def remark(self, text: str) -> None:
        """Keeps a line for the agent's log.

        Drops it when the second has MAX_REMARKS already.
        """
        if len(self._remarks) < MAX_REMARKS:
            self._remarks.append(sendable(text, MAX_REMARK_LENGTH))

    def take_remarks(self) -> tuple[str, ...]:
        """Returns the remarks since the last call."""
        remarks = tuple(self._remarks)
        self._remarks.clear()
        return remarks

    def take_samples(self) -> dict[str, str]:
        """Returns the samples since the last call."""
        samples = {reason: sendable(text) for reason, text in self.samples.items()}
        self.samples.clear()
        return samples

    def ask_for_end(self, why: str) -> None:
        """Asks for the end of the whole run; the first reason counts."""
        if not self._asked:
            self._asked.append(sendable(why, MAX_REMARK_LENGTH))

    @property
    def abort(self) -> str:
        """The reason that a session gave for the end of the run; "": none did."""
        return next(iter(self._asked), "")

    def take_delays(self) -> Delays:
        """Returns the worker's own delays since the last call."""
        delays = self.delays
        self.delays = Delays()
        return delays

    def swap(self) -> Tally:
        """Returns the tally so far and begins a second with an empty one."""
        tally = self.tally
        self.tally = Tally()
        self.heard = [0]
        if self._heard is not None:
            self._heard.append(self.heard)
        return tally

    def take_slices(self) -> dict[int, Slice]:
        """Returns what each slice has counted since the last call, by place.

        A slice in which nothing happened is left out. What they counted is added to the worker's
        own tally, so it is called before `swap`.
        """
        slices = {}
        for place, recorder in self._slices.items():
            moved, recorder.moved = recorder.moved, 0
            one = Slice(recorder.swap(), recorder.alive, moved)
            if one != Slice(alive=None if one.alive is None else 0):
                self.tally.merge(one.tally)
                self.tally.launched -= moved
                slices[place] = one
        return slices

    @property
    def alive(self) -> int | None:
        """The open connections that were heard within the window.

        It is that before the current second, and what there is of this second. None without one.
        """
        if self._heard is None:
            return None
        own = sum(count for (count,) in self._heard)
        return own + sum(recorder.alive or 0 for recorder in self._slices.values())


def sendable(text: object, most: int | None = None) -> str:
    """Returns a session's text as a worker can report it, with `most` characters.

    Surrogates have no UTF-8; they are shown as escapes.
    """
    return str(text)[:most].encode(errors="backslashreplace").decode()


def microseconds(seconds: float) -> int:
    """Returns a duration in seconds as histograms record it."""
    return int(seconds * MICROSECONDS)
