"""Output that waits for a reader."""

from loadgen.cli.backlog import Backlog


def everything(backlog: Backlog) -> bytes:
    return b"".join(iter(backlog.take, b""))


def test_chunks_are_taken_in_order():
    backlog = Backlog()
    for chunk in (b"one\n", b"two\n"):
        backlog.add(chunk)

    assert len(backlog) == 2
    assert everything(backlog) == b"one\ntwo\n"
    assert backlog.take() == b""


def test_beyond_the_bound_the_oldest_are_dropped_and_counted_once():
    backlog = Backlog(most=10)
    for chunk in (b"1\n2\n", b"rest", b"4\n5\n", b"6\n7\n", b"8\n"):
        backlog.add(chunk)

    assert everything(backlog) == b"\n... 3 lines were not shown: the output was not read\n" + (
        b"4\n5\n6\n7\n8\n"
    )
    backlog.add(b"9\n")
    assert backlog.take() == b"9\n"


def test_the_newest_chunk_is_kept_however_long_it_is():
    backlog = Backlog(most=3)
    backlog.add(b"the report\n")

    assert backlog.take() == b"the report\n"
