"""The publications that one connection has received."""

from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.stats.heard import DUPLICATE, NEW, REORDERED, Heard


@example([3, 1, 1, 12, 2], 4)
@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 8))
def test_what_is_heard_is_told_apart_within_the_window(numbers, window):
    heard, seen, last = Heard({}), set(), -1
    for number in numbers:
        heard, kind = heard.after("s", number, window)
        if number > last:
            assert kind == NEW
        elif number > last - window:
            assert kind == (DUPLICATE if number in seen else REORDERED)
        last = max(last, number)
        seen.add(number)
        for known in range(last - window + 1, last + 3):
            assert heard.has("s", known) == (known in seen and known >= 0)


def test_streams_are_told_apart():
    heard, _ = Heard({}).after("a", 3, 64)

    assert heard.has("a", 3)
    assert not heard.has("b", 3)
    assert heard.after("b", 3, 64)[1] == NEW
