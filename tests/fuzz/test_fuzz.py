"""The readers of foreign bytes, with the corpus and hypothesis.

`make fuzz` runs longer.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
BOUNDED = settings(max_examples=60)


def corpus(name: str) -> list[bytes]:
    """Returns the seeds of a target, and inputs that once broke it."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_reader(name):
    assert corpus(name), "a target without a corpus"
    for data in corpus(name):
        TARGETS[name](data)


@st.composite
def altered(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Draws a seed with a few replacements by foreign bytes or pieces of other seeds."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 40)))
        other = draw(st.sampled_from(seeds))
        at = draw(st.integers(0, len(other)))
        piece = draw(st.binary(max_size=8) | st.just(other[at : at + 30]) | st.sampled_from(WORDS))
        data = data[:begin] + piece + data[end:]
    return data


WORDS = (
    b"0",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"\0",
    b"\xff",
    b"\r\n",
    b"&",
    b"<",
    b"[[",
    b"%%",
)


@pytest.mark.parametrize("name", TARGETS)
def test_altered_seeds_break_no_reader(name):
    seeds = corpus(name)

    @BOUNDED
    @given(st.binary(max_size=200) | altered(seeds))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()
