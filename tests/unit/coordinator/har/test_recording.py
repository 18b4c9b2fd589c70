"""The sockets of HAR files, and the files that can't be read."""

import json

import pytest

from coordinator.har.recording import read_har
from loadgen.errors import PlanError
from tests.unit.coordinator.har.recordings import BEGAN, entry, har, socket

ONE = socket("wss://a.example/ws?token=x", 1, [(2, "send", 1, "hi"), (3, "receive", 2, "AAE=")])
OTHER = socket("wss://a.example/other", 2, [])


def written(tmp_path, text):
    path = tmp_path / "shop.har"
    path.write_text(text)
    return str(path)


def test_a_recording_has_a_socket_its_messages_and_the_requests_in_order(tmp_path):
    later, sooner = entry("https://a.example/b", 5), entry("https://a.example/a", 0)
    found = read_har(written(tmp_path, har(later, ONE, sooner)))

    assert [one.request.url[-1] for one in found.requests] == ["a", "b"]
    assert [message.payload for message in found.socket.messages] == ["hi", b"\0\1"]
    assert found.socket.messages[0].at == BEGAN + 2
    assert (found.file, found.note) == ("shop.har", "")


def test_times_in_milliseconds_are_read_too(tmp_path):
    text = har(ONE)
    changed = json.loads(text)
    for message in changed["log"]["entries"][0]["_webSocketMessages"]:
        message["time"] *= 1000
    found = read_har(written(tmp_path, json.dumps(changed)))

    assert found.socket.messages[0].at == BEGAN + 2


def test_of_several_sockets_the_first_is_taken_with_a_note_or_the_one_that_is_asked_for(tmp_path):
    path = written(tmp_path, har(ONE, OTHER))

    first = read_har(path)
    assert "2 WebSockets: 1 wss://a.example/ws (2 messages), 2 wss" in first.note
    assert "token" not in first.note
    second = read_har(f"{path}#2")
    assert (second.socket.request.url, second.note) == ("wss://a.example/other", "")


@pytest.mark.parametrize(
    ("text", "number", "says"),
    [
        ("<html>", "", "is no JSON, and so no HAR file"),
        ('{"log": {"entries": [\udcff', "", "is no JSON, and so no HAR file"),
        ("[]", "", "is no HAR file: Expected `object`, got `array`"),
        (har({"startedDateTime": 1}), "", "is no HAR file"),
        (har(), "", "none of its 0 requests is a WebSocket"),
        (har(entry("https://a.example", 0)), "", "none of its 1 requests is a WebSocket"),
        (har(ONE), "#2", "the file has one WebSocket"),
        (har(*[ONE] * 12), "#13", "the file has 12 WebSockets"),
        (har(entry("ws://a.example", 0)), "", "its WebSocket has no `_webSocketMessages`"),
        (har(socket("ws://a", 0, [(0, "send", 1, "")] * 10_001)), "", "10,000 is the most"),
        (har(socket("ws://a", 0, [(0, "send", 2, "!")])), "", "entry 1 can't be read"),
        (har(ONE | {"startedDateTime": "now"}), "", "entry 1 can't be read"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_in_one_line(tmp_path, text, number, says):
    path = tmp_path / "shop.har"
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(PlanError, match=r"--har .*") as refused:
        read_har(f"{path}{number}")

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_too_big_is_refused(tmp_path):
    with pytest.raises(PlanError, match="No such file"):
        read_har(str(tmp_path / "none.har"))
    big = tmp_path / "big.har"
    with big.open("wb") as file:
        file.truncate((256 << 20) + 1)

    with pytest.raises(PlanError, match="is the most"):
        read_har(str(big))
