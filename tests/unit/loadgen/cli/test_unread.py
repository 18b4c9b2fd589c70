"""Output that waits for a reader."""

from loadgen.cli.unread import Unread


def everything(unread: Unread) -> bytes:
    return b"".join(iter(unread.take, b""))


def test_chunks_are_taken_in_order():
    unread = Unread()
    for chunk in (b"one\n", b"two\n"):
        unread.add(chunk)

    assert len(unread) == 2
    assert everything(unread) == b"one\ntwo\n"
    assert unread.take() == b""


def test_beyond_the_bound_the_oldest_are_dropped_and_counted_once():
    unread = Unread(most=10)
    for chunk in (b"1\n2\n", b"rest", b"4\n5\n", b"6\n7\n", b"8\n"):
        unread.add(chunk)

    assert everything(unread) == b"\n... 3 lines were not shown: the output was not read\n" + (
        b"4\n5\n6\n7\n8\n"
    )
    unread.add(b"9\n")
    assert unread.take() == b"9\n"


def test_the_newest_chunk_is_kept_however_long_it_is():
    unread = Unread(most=3)
    unread.add(b"the report\n")

    assert unread.take() == b"the report\n"
