"""One of several by weight, drawn for a user's number: the same for the same user in every run, on whichever worker."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from loadgen.chance import chance

Pick = Callable[[int], int]
"""From a user's number to the place of what it drew."""


def lots(weights: Sequence[float], seed: int, salt: int) -> Pick:
    """Draws places in proportion to their weights (not negative, not all 0); lots of another salt are independent.

    Half a microsecond a number; a single one costs nothing.
    """
    places = [place for place, weight in enumerate(weights) if weight > 0]
    if len(places) == 1:
        (only,) = places
        return lambda _: only
    *bounds, whole = accumulate(weights[place] for place in places)
    return lambda number: places[bisect_right(bounds, whole * chance(seed, number, salt))]


def lots_by_stretch(firsts: Sequence[int], picks: Sequence[Pick]) -> Pick:
    """Draws by other weights in each of several stretches of numbers, which begin at these ascending first ones."""
    return lambda number: picks[bisect_right(firsts, number) - 1](number)
