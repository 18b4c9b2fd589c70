"""Packed items come out as they went in, as long as they are kept."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.packed import BLOCK, Packed


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=4 * BLOCK), st.integers(0, 4 * BLOCK), st.integers(1, 400))
def test_what_comes_after_an_item_is_handed_out_piece_by_piece(items, after, most_bytes):
    packed = Packed(1000)
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
    packed = Packed(2 * BLOCK)
    for number in range(1, 5 * BLOCK):
        packed.append(b"%d," % number)

    assert (packed.first, packed.last) == (2 * BLOCK + 1, 5 * BLOCK - 1)
    assert packed.after(2 * BLOCK, 1)[0] == b"%d," % packed.first
