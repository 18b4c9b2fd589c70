"""The book of a publication: when it was sent, and how well that is known."""

import pytest

from loadgen.stats.book import Book
from loadgen.stats.delivery import PublisherClock, Stamp

STAMP = Stamp("here-run.0", 3, 7_000_000)


@pytest.mark.parametrize(
    ("clock", "timed", "bound"),
    [(None, False, 0.0), (PublisherClock(0.0), True, 0.0), (PublisherClock(1.0, 0.5), True, 0.5)],
)
def test_a_book_is_open_for_its_grace_and_knows_its_bound(clock, timed, bound):
    book = Book(STAMP, 8.0, 5.0, clock)

    assert (book.stream, book.number, book.sent, book.until) == ("here-run.0", 3, 8.0, 13.0)
    assert (book.timed, book.bound) == (timed, bound)
    assert not book.announced
    assert not book.closed
