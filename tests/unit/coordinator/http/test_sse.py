"""The feed: what a viewer gets from each position."""

import json

from hypothesis import given
from hypothesis import strategies as st

from coordinator.http.sse import (
    BLOCK_ITEMS,
    MAX_CHUNK_BYTES,
    MAX_EVENTS,
    CompressedLog,
    Feed,
    Position,
)


def events(chunk):
    """The events in a chunk, as a browser reads them: (kind, id, content)."""
    found = []
    for block in chunk.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def read(feed, position):
    """All events after a position, and the position after them."""
    found = []
    while True:
        chunk, position = feed.after(position)
        if not chunk:
            return found, position
        found += events(chunk)


def feed_of(count, key="k"):
    feed = Feed(key, b'{"head":1}')
    for number in range(1, count + 1):
        feed.add("second", {"second": number})
    return feed


def test_a_new_viewer_gets_the_preamble_then_all_seconds_then_the_overview():
    feed = feed_of(2)
    feed.set_overview(lambda: {"state": "running"})

    found, position = read(feed, feed.position_of(""))

    assert found == [
        ("run", "k.0", {"head": 1}),
        ("second", "k.1", {"second": 1}),
        ("second", "k.2", {"second": 2}),
        ("now", None, {"state": "running"}),
    ]
    assert feed.after(position) == (b"", position)


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_viewer_that_reconnects_gets_every_event_once(before, after):
    feed = feed_of(before)
    found, _ = read(feed, feed.position_of(""))
    last = found[-1][1]
    for number in range(before + 1, before + after + 1):
        feed.add("second", {"second": number})

    again, _ = read(feed, feed.position_of(last))

    assert [event[2]["second"] for event in again] == list(range(before + 1, before + after + 1))


def test_an_id_of_another_run_and_a_malformed_id_start_anew():
    feed = feed_of(3)

    assert {
        feed.position_of(text) for text in ("other.2", "k.4", "k.-1", "k.x", "k", ".", "k.²")
    } == {Position()}


def test_a_viewer_behind_the_oldest_event_starts_anew_with_what_is_kept():
    feed = feed_of(1)
    _, position = read(feed, feed.position_of(""))
    for number in range(2, MAX_EVENTS + 2 * BLOCK_ITEMS):
        feed.add("second", {"second": number})

    found, _ = read(feed, position)

    assert found[0][0] == "run"
    numbers = [event[2]["second"] for event in found[1:]]
    assert numbers == list(range(numbers[0], MAX_EVENTS + 2 * BLOCK_ITEMS))
    assert numbers[0] > 1
    assert MAX_EVENTS - BLOCK_ITEMS < len(numbers) <= MAX_EVENTS + BLOCK_ITEMS


def test_a_chunk_is_bounded():
    feed = feed_of(0)
    for _ in range(100):
        feed.add("second", "x" * 10_000)

    position = feed.position_of("k.0")
    sizes = []
    while (step := feed.after(position))[0]:
        sizes.append(len(step[0]))
        position = step[1]

    assert max(sizes) < MAX_CHUNK_BYTES + 11_000
    assert len(sizes) > 10


def test_the_overview_is_made_once_and_only_for_viewers():
    feed = feed_of(0)
    made = []
    feed.set_overview(lambda: made.append("first") or "first")
    feed.set_overview(lambda: made.append("second") or "second")

    for _ in range(2):
        read(feed, feed.position_of(""))

    assert made == ["second"]


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=4 * BLOCK_ITEMS),
    st.integers(0, 4 * BLOCK_ITEMS),
    st.integers(1, 400),
)
def test_a_log_returns_the_items_after_a_number_in_chunks(items, after, max_bytes):
    log = CompressedLog(1000)
    for item in items:
        log.append(item)
    begin = min(after, len(items))
    number = begin
    chunks = []
    while number < log.last:
        chunk, number = log.after(number, max_bytes)
        chunks.append(chunk)

    assert b"".join(chunks) == b"".join(items[begin:])
    assert all(len(chunk) < max_bytes + 20 for chunk in chunks)
    assert (log.first, log.last) == (1, len(items))


def test_a_log_drops_its_oldest_items_in_whole_blocks():
    log = CompressedLog(2 * BLOCK_ITEMS)
    for number in range(1, 5 * BLOCK_ITEMS):
        log.append(b"%d," % number)

    assert (log.first, log.last) == (2 * BLOCK_ITEMS + 1, 5 * BLOCK_ITEMS - 1)
    assert log.after(2 * BLOCK_ITEMS, 1)[0] == b"%d," % log.first
