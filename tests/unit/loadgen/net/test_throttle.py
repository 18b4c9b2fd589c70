"""A slow reader: what it takes is handed on at once, and then it takes nothing for a while."""

from time import monotonic

from loadgen.net.throttle import Throttle


class Ends:
    """Both ends of a throttle, and the clock that wakes it: what each of them gets to know."""

    def __init__(self) -> None:
        self.known: list[object] = []
        self.due = 0.0

    def connection_made(self, transport: object) -> None:
        assert transport is self
        self.known.append("made")

    def data_received(self, data: bytes) -> None:
        self.known.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.known.append(exc)

    def pause_reading(self) -> None:
        self.known.append("pause")

    def resume_reading(self) -> None:
        self.known.append("resume")

    def wake(self, throttle: Throttle, due: float) -> None:
        self.due = due


def test_what_is_read_is_handed_on_and_pauses_for_as_long_as_it_is_worth():
    ends = Ends()
    throttle = Throttle(ends, 100.0, ends.wake)
    throttle.connection_made(ends)
    before = monotonic()
    throttle.data_received(b"x" * 1000)

    assert ends.known == ["made", "pause", b"x" * 1000]
    assert before + 10 <= ends.due <= monotonic() + 10
    assert throttle.resume(ends.due) is False
    assert ends.known[-1] == "resume"


def test_nothing_is_resumed_that_is_gone():
    ends = Ends()
    throttle = Throttle(ends, 100.0, ends.wake)
    throttle.connection_made(ends)
    throttle.data_received(b"x")
    throttle.connection_lost(None)

    throttle.resume(ends.due)

    assert ends.known == ["made", "pause", b"x", None]
