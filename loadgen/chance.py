"""Random numbers that follow from a number: the same for the same user in every run, on whichever worker it is."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def chance(seed: int, number: int, salt: int = 0) -> float:
    """Evenly distributed over [0, 1) for numbers in a row; another salt gives others that have nothing to do with them.

    One step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), 0.4 µs.
    """
    z = (seed * 0xD1342543DE82EF95 + (number + 1) * _GOLDEN + salt * 0xA0761D6478BD642F) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) / 2**64
