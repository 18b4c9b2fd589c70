"""The places of stamps in messages."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.publish import Publish
from loadgen.worker.stamps import find_stamp, finder_of

STAMP = b"lg1:55e97d6a-run-77.0:12:345678901;"
EVENT = (
    b'{"type":"event","data":{"events":["documents.*.create"],"channels":["files"],'
    b'"timestamp":"2026-11-28T18:00:00.000+00:00","payload":{"text":"hi ' + STAMP + b'"}}}'
)
"""An event of Appwrite's."""


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_stamp_is_found_anywhere(before, after):
    found = find_stamp(before.replace(b"lg1:", b"") + b" " + STAMP + after)

    assert found == STAMP


@pytest.mark.parametrize("payload", [b"", b"plain", b"lg1:a:1:2", b"lg1:" + b"9" * 200 + b";"])
def test_without_a_whole_stamp_there_is_none(payload):
    assert find_stamp(payload) is None


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"stamp_json": "data.payload.text"},
        {"stamp_json": "$.data.payload"},
        {"stamp_regex": r'"text":"hi ([^"]*)"'},
        {"stamp_regex": r"lg1:[^;]*;"},
        {"stamp_offset": EVENT.index(b"lg1:")},
    ],
)
def test_each_kind_of_place_leads_to_the_stamp(place):
    assert finder_of(Publish(**place))(EVENT) == STAMP


@pytest.mark.parametrize(
    "place",
    [
        {"stamp_json": "data.other"},
        {"stamp_json": "data.channels"},
        {"stamp_regex": "nowhere"},
        {"stamp_regex": "(nowhere)?"},
        {"stamp_offset": 3},
    ],
)
def test_a_stamp_elsewhere_is_not_taken(place):
    assert finder_of(Publish(**place))(EVENT) is None


@pytest.mark.parametrize("payload", [b"no json", b'"\xff"', b"[" * 100_000])
def test_what_is_no_json_has_no_path(payload):
    assert finder_of(Publish(stamp_json="a"))(payload) is None


def test_a_value_that_is_json_inside_of_json_is_searched():
    payload = msgspec.json.encode({"body": msgspec.json.encode({"s": STAMP.decode()}).decode()})

    assert finder_of(Publish(stamp_json="body"))(payload) == STAMP
