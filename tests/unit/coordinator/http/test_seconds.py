"""The settled seconds as one text of JSON, in parts."""

import json

import pytest

from coordinator.http.seconds import PART_BYTES, parts_of

LONG = b'{"second":1,"text":"' + b"x" * PART_BYTES + b'"}'


@pytest.mark.parametrize(
    ("lines", "count"),
    [([], 1), ([b'{"second":0}', b'{"second":1}'], 2), ([LONG, LONG, b'{"second":2}'], 4)],
)
async def test_the_parts_together_are_one_text_of_json(lines, count):
    parts = [part async for part in parts_of(lines)]

    assert len(parts) == count
    assert json.loads(b"".join(parts)) == {"seconds": [json.loads(line) for line in lines]}
