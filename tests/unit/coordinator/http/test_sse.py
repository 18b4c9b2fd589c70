"""The feed that viewers read: what each gets, from wherever it stands."""

import json

from hypothesis import given
from hypothesis import strategies as st

from coordinator.http.sse import BLOCK, KEPT, MAX_BYTES, CompressedLog, Feed, Position


def events(chunk):
    """The events in a chunk, as a browser reads them: (kind, id, content)."""
    found = []
    for block in chunk.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def read(feed, place):
    """Everything that comes after a place, and the place after that."""
    found = []
    while True:
        chunk, place = feed.after(place)
        if not chunk:
            return found, place
        found += events(chunk)


def feed_of(count, key="k"):
    feed = Feed(key, b'{"head":1}')
    for number in range(1, count + 1):
        feed.add("second", {"second": number})
    return feed


def test_who_is_new_is_told_the_head_then_all_seconds_then_how_the_run_stands():
    feed = feed_of(2)
    feed.stand(lambda: {"state": "running"})

    found, place = read(feed, feed.place_of(""))

    assert found == [
        ("run", "k.0", {"head": 1}),
        ("second", "k.1", {"second": 1}),
        ("second", "k.2", {"second": 2}),
        ("now", None, {"state": "running"}),
    ]
    assert feed.after(place) == (b"", place)


@given(st.integers(0, 20), st.integers(0, 20))
def test_who_lost_the_connection_misses_nothing_and_hears_nothing_twice(before, after):
    feed = feed_of(before)
    found, _ = read(feed, feed.place_of(""))
    last = found[-1][1]
    for number in range(before + 1, before + after + 1):
        feed.add("second", {"second": number})

    again, _ = read(feed, feed.place_of(last))

    assert [event[2]["second"] for event in again] == list(range(before + 1, before + after + 1))


def test_another_runs_id_and_nonsense_start_anew():
    feed = feed_of(3)

    assert {feed.place_of(text) for text in ("other.2", "k.4", "k.-1", "k.x", "k", ".", "k.²")} == {
        Position()
    }


def test_who_is_left_behind_by_the_log_starts_anew_with_what_is_kept():
    feed = feed_of(1)
    _, place = read(feed, feed.place_of(""))
    for number in range(2, KEPT + 2 * BLOCK):
        feed.add("second", {"second": number})

    found, _ = read(feed, place)

    assert found[0][0] == "run"
    told = [event[2]["second"] for event in found[1:]]
    assert told == list(range(told[0], KEPT + 2 * BLOCK))
    assert told[0] > 1
    assert KEPT - BLOCK < len(told) <= KEPT + BLOCK


def test_a_viewer_is_handed_a_bounded_amount_at_a_time():
    feed = feed_of(0)
    for _ in range(100):
        feed.add("second", "x" * 10_000)

    place, sizes = feed.place_of("k.0"), []
    while (step := feed.after(place))[0]:
        sizes.append(len(step[0]))
        place = step[1]

    assert max(sizes) < MAX_BYTES + 11_000
    assert len(sizes) > 10


def test_the_standing_is_worked_out_once_and_only_for_readers():
    feed, worked = feed_of(0), []
    feed.stand(lambda: worked.append("first") or "first")
    feed.stand(lambda: worked.append("second") or "second")

    for _ in range(2):
        read(feed, feed.place_of(""))

    assert worked == ["second"]


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=4 * BLOCK),
    st.integers(0, 4 * BLOCK),
    st.integers(1, 400),
)
def test_what_comes_after_an_item_is_handed_out_piece_by_piece(items, after, most_bytes):
    packed = CompressedLog(1000)
    for item in items:
        packed.append(item)
    number, pieces = min(after, len(items)), []
    begin = number
    while number < packed.last:
        piece, number = packed.after(number, most_bytes)
        pieces.append(piece)

    assert b"".join(pieces) == b"".join(items[begin:])
    assert all(len(piece) < most_bytes + 20 for piece in pieces)
    assert (packed.first, packed.last) == (1, len(items))


def test_the_oldest_are_forgotten_as_whole_blocks():
    packed = CompressedLog(2 * BLOCK)
    for number in range(1, 5 * BLOCK):
        packed.append(b"%d," % number)

    assert (packed.first, packed.last) == (2 * BLOCK + 1, 5 * BLOCK - 1)
    assert packed.after(2 * BLOCK, 1)[0] == b"%d," % packed.first
