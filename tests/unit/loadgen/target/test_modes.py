"""The frames of a greeting and of answers, byte for byte."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from loadgen.target.frames import BINARY, TEXT, frame
from loadgen.target.modes import (
    Answer,
    Appwrite,
    Broadcast,
    Echo,
    Greeting,
    Publication,
    Silent,
    event_frame,
    mode_of,
)
from loadgen.target.request import Resource
from loadgen.values import TARGET_MODES


def text(payload: str) -> bytes:
    return frame(TEXT, payload.encode())


def resource(project: str = "console", channels: tuple[str, ...] = ("files",)) -> Resource:
    return Resource("/v1/realtime", project, channels)


def test_every_mode_has_a_class():
    kinds = [type(mode_of(name)) for name in TARGET_MODES]

    assert kinds == [Echo, Appwrite, Silent, Broadcast]


@pytest.mark.parametrize(
    ("name", "channels"),
    [("echo", ("files",)), ("silent", ("files",)), ("broadcast", ("/v1/realtime", "files"))],
)
def test_every_path_is_served_but_by_appwrite(name, channels):
    mode = mode_of(name)

    assert mode.refusal(resource()._replace(path="/chat")) == ""
    assert mode.channels(resource()) == channels
    assert mode.greeting(resource()) == Greeting()


def test_appwrite_serves_its_own_path_alone():
    assert Appwrite().refusal(resource()) == ""
    assert Appwrite().channels(resource()) == ("files",)
    assert (
        Appwrite().refusal(resource()._replace(path="/chat"))
        == "mode appwrite serves /v1/realtime alone"
    )


def test_silence_answers_nothing_and_a_broadcast_answers_all():
    assert Silent().answer(TEXT, b"hi") == Answer(b"")
    assert Broadcast().answer(TEXT, b"hi") == Answer(text("hi"), to_all=True)


@pytest.mark.parametrize(("opcode", "payload"), [(TEXT, b"hi"), (BINARY, b"\xff"), (TEXT, b"")])
def test_echo_repeats(opcode, payload):
    assert Echo().greeting(resource()) == Greeting(b"", 0, None)
    assert Echo().answer(opcode, payload) == Answer(frame(opcode, payload))


def test_appwrite_greets_with_the_exact_string_its_benchmark_asserts():
    """tests/benchmarks/ws.js compares the text."""
    expected = text('{"type":"connected","data":{"channels":["files"],"user":null}}')

    assert Appwrite().greeting(resource()) == Greeting(expected, 1)


def test_appwrite_greets_with_all_channels():
    expected = text('{"type":"connected","data":{"channels":["a\\"","é"],"user":null}}')

    assert Appwrite().greeting(resource(channels=('a"', "é"))).frames == expected


def test_appwrite_closes_without_a_project():
    expected = text(
        '{"type":"error","data":{"code":1008,"message":"Missing or unknown project ID"}}'
    )

    assert Appwrite().greeting(resource(project="")) == Greeting(expected, 1, 1008)


@pytest.mark.parametrize("ping", [b'{"type":"ping"}', b' { "type" : "ping", "data": 1 } '])
def test_appwrite_answers_a_ping(ping):
    assert Appwrite().answer(TEXT, ping) == Answer(text('{"type":"pong"}'), is_pong=True)


@pytest.mark.parametrize("payload", [b"", b"hello", b"[]", b"{}", b'{"type":1}', b"\xff"])
def test_appwrite_answers_a_bad_format_with_an_error(payload):
    expected = text(
        '{"type":"error","data":{"code":1003,"message":"Message format is not valid."}}'
    )

    assert Appwrite().answer(TEXT, payload) == Answer(expected)


def test_appwrite_answers_an_unknown_type_with_an_error():
    expected = text('{"type":"error","data":{"code":1003,"message":"Message type is not valid."}}')

    assert Appwrite().answer(TEXT, b'{"type":"subscribe","data":[]}') == Answer(expected)


def test_an_event_passes_the_payload_on():
    publication = msgspec.json.decode(
        b'{"channels":["files"],"payload":{"n": 1.50},"events":["files.*.create"]}',
        type=Publication,
    )

    assert event_frame(publication, datetime(2026, 5, 4, 3, 2, 1, 999, UTC)) == text(
        '{"type":"event","data":{"events":["files.*.create"],"channels":["files"],'
        '"timestamp":"2026-05-04T03:02:01.000+00:00","payload":{"n": 1.50}}}'
    )


def test_an_event_may_have_no_name_and_no_payload():
    publication = msgspec.json.decode(b'{"channels":["a","b"]}', type=Publication)
    at = datetime(2026, 5, 4, 3, 2, 1, 987_654, timezone(timedelta(hours=2)))

    assert event_frame(publication, at) == text(
        '{"type":"event","data":{"events":[],"channels":["a","b"],'
        '"timestamp":"2026-05-04T03:02:01.987+02:00","payload":null}}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"channels":[]}',
        b'{"channels":"files"}',
        b'{"channels":["a"],"event":"x"}',
    ],
)
def test_a_publication_is_checked(body):
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body, type=Publication)
