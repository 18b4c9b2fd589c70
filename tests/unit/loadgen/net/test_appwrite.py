"""Frames of Appwrite's realtime server, from 0.10 to the present one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.net.appwrite import MAX_CODE, NOT_APPWRITE, PING, PONG, AppwriteMessage, read
from loadgen.net.frames import MAX_KEPT_BYTES

FRAMES = {
    "connected 0.10": (
        '{"type":"connected","data":{"channels":["files"],"user":null}}',
        "connected",
    ),
    "connected with an account": (
        '{"type":"connected","data":{"channels":["files"],"subscriptions":{"0":"a1"},"user":{"$id":"u","code":7}}}',
        "connected",
    ),
    "connected in message mode": (
        '{"type":"connected","data":{"channels":[],"subscriptions":[],"user":null}}',
        "connected",
    ),
    "event 0.10": (
        '{"type":"event","data":{"event":"files.create","channels":["files"],"timestamp":1613,"payload":{"$id":"f"}}}',
        "event",
    ),
    "event 1.0": (
        '{"type":"event","data":{"events":["files.f.create"],"channels":["files"],'
        '"timestamp":"2026-08-21 10:00:00.123","payload":{"type":"error","code":1008}}}',
        "event",
    ),
    "pong": ('{"type":"pong"}', "pong"),
    "authentication": (
        '{"type":"response","data":{"to":"authentication","success":true,"user":{"$id":"u"}}}',
        "response",
    ),
    "subscribe": (
        '{"type":"response","data":{"to":"subscribe","success":true,"subscriptions":[{"subscriptionId":"a"}]}}',
        "response",
    ),
}


@pytest.mark.parametrize(("text", "type_"), FRAMES.values(), ids=FRAMES)
def test_a_frame_has_its_type_and_no_code(text, type_):
    assert read(text.encode()) == AppwriteMessage(type_, 0)


@pytest.mark.parametrize("code", [0, 401, 500, 1003, 1008, 1013])
def test_an_error_has_its_code(code):
    text = f'{{"type":"error","data":{{"code":{code},"message":"Missing channels"}}}}'

    assert read(text.encode()) == AppwriteMessage("error", code)


@pytest.mark.parametrize("code", [-1, MAX_CODE, 10**12])
def test_codes_out_of_range_are_one_code(code):
    text = f'{{"type":"error","data":{{"code":{code}}}}}'

    assert read(text.encode()) == AppwriteMessage("error", MAX_CODE)


def test_our_ping_is_appwrites():
    assert json.loads(PING) == {"type": "ping"}
    assert read(PONG) == AppwriteMessage("pong")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"[]",
        b'"pong"',
        b'{"type":',
        b'{"type":"pong"',
        b'{"type":7}',
        b'{"kind":"pong"}',
        b'{"type":"error","data":{"code":"many"}}',
        b'{"type":"error","data":[1008]}',
        b'{"type":"\xff"}',
    ],
)
def test_a_payload_of_another_shape_is_no_message(payload):
    assert read(payload) == NOT_APPWRITE


@given(st.binary(max_size=60), st.sampled_from((b"", b'{"type":"', b'{"type":"error","data":')))
def test_no_payload_raises(rubbish, begin):
    assert isinstance(read(begin + rubbish), AppwriteMessage)


@pytest.mark.parametrize("type_", ["event", "error"])
def test_a_payload_nested_deeper_than_python_goes_does_not_raise(type_):
    """The parser keeps messages of this length, so a server can send one."""
    payload = f'{{"type":"{type_}","data":{"[" * 2000}{"]" * 2000}}}'.encode()

    assert len(payload) < MAX_KEPT_BYTES
    assert read(payload) in (NOT_APPWRITE, AppwriteMessage(type_))
