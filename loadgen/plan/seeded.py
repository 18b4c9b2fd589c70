"""Random numbers that follow from a user's number.

They are the same in every run and on any worker.

SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): 8 bytes of
state, where the standard library's Mersenne Twister keeps 2.5 KiB for each generator.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Any

Pick = Callable[[int], int]
"""A function from a user's number to the place of what it drew."""


def weighted_choice(weights: Sequence[float], seed: int, salt: int) -> Pick:
    """Returns the function that draws a place for each user, by the weights.

    The weights are not negative and not all 0. Draws with another salt are independent. A draw
    takes half a microsecond; with one weight above 0 nothing is drawn.
    """
    places = [place for place, weight in enumerate(weights) if weight > 0]
    if len(places) == 1:
        (only,) = places
        return lambda _: only
    *bounds, whole = accumulate(weights[place] for place in places)
    return lambda number: places[bisect_right(bounds, whole * chance(seed, number, salt))]


def weighted_choice_by_phase(firsts: Sequence[int], picks: Sequence[Pick]) -> Pick:
    """Returns the function that draws by the pick of each user's phase.

    `firsts` are the first numbers of the phases, ascending.
    """
    return lambda number: picks[bisect_right(firsts, number) - 1](number)


_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _start(seed: int, number: int, salt: int) -> int:
    return (seed * 0xD1342543DE82EF95 + (number + 1) * _GOLDEN + salt * 0xA0761D6478BD642F) & _MASK


def chance(seed: int, number: int, salt: int = 0) -> float:
    """Returns a value in [0, 1), evenly distributed for consecutive numbers.

    Values with another salt are independent.
    """
    return (_mix(_start(seed, number, salt)) >> 11) * 2.0**-53


class SeededRandom:
    """A generator with the methods of random.Random, on bits of its own.

    The methods are the standard library's.
    """

    __slots__ = ("_state", "gauss_next")

    def __init__(self, seed: int, number: int) -> None:
        self._state = _mix(_start(seed, number, 1))
        self.gauss_next: float | None = None
        """The value that random.Random.gauss keeps for the next call."""

    def _next(self) -> int:
        self._state = (self._state + _GOLDEN) & _MASK
        return _mix(self._state)

    def random(self) -> float:
        """Returns a value evenly distributed over [0, 1)."""
        return (self._next() >> 11) * 2.0**-53

    def getrandbits(self, count: int) -> int:
        """Returns a number of `count` random bits."""
        if count <= 64:
            return self._next() >> (64 - count) if count else 0
        words = -(-count // 64)
        # As bytes, since a number that grows word by word takes quadratic time.
        bits = int.from_bytes(b"".join(self._next().to_bytes(8, "big") for _ in range(words)))
        return bits >> (64 * words - count)

    def randbytes(self, count: int) -> bytes:
        """Returns `count` random bytes; the time that it takes is proportional to them."""
        return self.getrandbits(8 * count).to_bytes(count, "little")

    _randbelow: Any = Random._randbelow_with_getrandbits  # type: ignore[attr-defined]  # the source of the methods below
    randrange: Any = Random.randrange
    randint: Any = Random.randint
    choice: Any = Random.choice
    choices: Any = Random.choices
    shuffle: Any = Random.shuffle
    sample: Any = Random.sample
    uniform: Any = Random.uniform
    triangular: Any = Random.triangular
    expovariate: Any = Random.expovariate
    gauss: Any = Random.gauss
    normalvariate: Any = Random.normalvariate
    lognormvariate: Any = Random.lognormvariate
    betavariate: Any = Random.betavariate
    gammavariate: Any = Random.gammavariate
    paretovariate: Any = Random.paretovariate
    weibullvariate: Any = Random.weibullvariate
    vonmisesvariate: Any = Random.vonmisesvariate
