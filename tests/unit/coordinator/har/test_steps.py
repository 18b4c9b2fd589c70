"""The steps that a recording becomes."""

import base64
import json

import msgspec
import pytest

from coordinator.har.recording import HarEntry, Recording
from coordinator.har.steps import session_of, target_of
from tests.unit.coordinator.har.recordings import entry, socket

URL = "ws://a.example/ws"


def steps(messages=(), *requests, url=URL, **headers):
    one = msgspec.convert(socket(url, 1, messages, **headers), HarEntry)
    return session_of(Recording("a.har", one, tuple(msgspec.convert(requests, list[HarEntry]))))


def test_pauses_become_think_times_and_messages_of_the_server_are_received():
    found = steps(
        [
            (1.1, "receive", 1, '{"type":"welcome"}'),
            (2.6, "send", 1, "hello"),
            (2.61, "send", 1, '{"a":1}'),
            (2.8, "receive", 1, "one"),
            (22.8, "receive", 1, "two"),
            (23.0, "send", 2, base64.b64encode(b"\0\1").decode()),
        ]
    )

    assert found.lines == [
        'ws = await user.connect("/ws")',
        "await ws.receive(timeout=TIMEOUT)  # welcome",
        "await user.think(1.5)",
        'await ws.send("hello")',
        'await ws.send_json({"a": 1})',
        "await ws.receive(timeout=TIMEOUT)",
        "await ws.receive(timeout=TIMEOUT)",
        "await user.think(0.2)",
        'await ws.send(bytes.fromhex("0001"))',
        "await ws.close()",
    ]
    assert found.timeout == 60


def test_many_messages_in_a_row_are_one_loop_and_long_bytes_several_lines():
    data = base64.b64encode(bytes(40)).decode()
    found = steps([(1.1, "receive", 1, "tick")] * 5 + [(1.2, "send", 2, data)])

    assert found.lines[1:4] == [
        "for _ in range(5):",
        "    await ws.receive(timeout=TIMEOUT)",
        "await user.think(0.1)",
    ]
    assert found.lines[4:8] == [
        "await ws.send(bytes.fromhex(",
        f'    "{"0" * 72}"',
        f'    "{"0" * 8}"',
        "))",
    ]


def test_a_token_of_a_reply_is_taken_from_it_and_a_password_from_the_environment():
    body = "application/json", json.dumps({"user": "ann", "password": "hunter22"})
    login = entry(
        "http://a.example/login",
        0,
        method="POST",
        kind="fetch",
        body=body,
        reply={"data": [{"accessToken": "abcdefgh-1"}]},
        headers={"Authorization": "Bearer key-of-app", "User_Agent": "x", "X_App": "shop"},
        reply_headers={"Set_Cookie": "sid=1; Path=/"},
    )
    found = steps(
        [(1.1, "send", 1, '{"auth": "abcdefgh-1"}')],
        login,
        url=f"{URL}?token=abcdefgh-1",
        Cookie="sid=1",
        Origin="http://a.example",
    )
    text = "\n".join(found.lines)

    assert "hunter22" not in text
    assert "abcdefgh-1" not in text
    assert "key-of-app" not in text
    assert '"password": PASSWORD' in text
    assert 'access_token = (await login.json())["data"][0]["accessToken"]' in text
    assert 'f"/ws?token={access_token}"' in text
    assert 'await ws.send(f\'{{"auth": "{access_token}"}}\')' in text
    assert '"Authorization": f"Bearer {AUTHORIZATION}", "X-App": "shop"' in text
    assert 'headers={"Cookie": cookies}' in text
    assert 'user.check("login", login.status < 400, fatal=True)' in text
    assert [name for name, _ in found.secrets] == ["PASSWORD", "AUTHORIZATION"]
    assert found.learnt == ["access_token"]


def test_a_value_of_a_message_is_taken_from_it():
    found = steps(
        [(1.1, "receive", 1, '{"id": "room-12345"}'), (1.12, "send", 1, "join room-12345")]
    )

    assert found.lines[1:4] == [
        "message = json.loads(await ws.receive(timeout=TIMEOUT))",
        'id_2 = message["id"]',
        'await ws.send(f"join {id_2}")',
    ]
    assert found.uses_json


def test_cookies_from_before_the_recording_and_secrets_of_urls_are_variables():
    early = entry("http://a.example/me", 0, kind="xhr", headers={"Cookie": "old=1; theme=2"})
    sets = entry(
        "http://a.example/x", 0.1, kind="xhr", reply_headers={"Set_Cookie": "sid=1"}, status=404
    )
    found = steps([], early, sets, url=f"{URL}?api_key=s3cret", Cookie="old=1; sid=1")
    text = "\n".join(found.lines)

    assert 'me = await user.http.get("/me", headers={"Cookie": COOKIE}, name="me")' in text
    assert 'headers={"Cookie": f"{COOKIE}; {cookies}"}' in text
    assert 'f"/ws?api_key={API_KEY}"' in text
    assert "x.status" not in text
    assert dict(found.secrets) == {
        "COOKIE": "cookies of GET /me: old, theme",
        "API_KEY": "the parameter `api_key` of the handshake",
    }


def test_forms_texts_and_other_methods_are_sent_as_recorded():
    form = "application/x-www-form-urlencoded; charset=UTF-8", "user=ann&pass=longpass"
    found = steps(
        [],
        entry("http://a.example/form", 0, method="POST", body=form, status=302,
              reply_headers={"Location": "/home"}),
        entry("http://a.example/home", 0.1, kind="xhr"),
        entry("http://a.example/", 0.2, method="PURGE", body=("text/xml", "<a/>"),
              headers={"Content_Type": "text/xml"}),
        entry("http://a.example/json", 0.3, method="PUT", body=("text/plain", '{"a":1}')),
        Sec_WebSocket_Protocol="chat, v2",
    )  # fmt: skip
    text = "\n".join(found.lines)

    assert 'data={"user": "ann", "pass": PASS}' in text
    assert "/home" not in text
    for part in ('user.http.request( "PURGE", "/", data="<a/>"', '{"Content-Type": "text/xml"}'):
        assert part in " ".join(text.split())
    assert "data='{\"a\":1}'" in text
    assert 'ws = await user.connect("/ws", subprotocols=["chat", "v2"])' in text


def test_what_is_left_out_is_said():
    parts = [
        entry("http://cdn.example/a.js", 0, kind="script"),
        entry("http://a.example/a.css", 0, kind="stylesheet"),
        entry("http://a.example/login", 0, method="OPTIONS"),
        entry("http://a.example/", 0, kind="document"),
        entry("http://a.example/blocked", 0, kind="xhr", status=0),
        entry("http://a.example/late", 9, kind="xhr"),
        entry("http://a.example/api", 0, reply={"a": 1}),
        *(entry("http://a.example/many", 0.5, kind="fetch") for _ in range(201)),
    ]
    found = steps([(2, "send", 1, "x")], *parts)

    assert found.left_out == [
        "1 request to other hosts",
        "4 requests for parts of pages",
        "1 request after the last message",
        "2 requests after the first 200",
    ]
    assert any("api = await" in line for line in found.lines)


@pytest.mark.parametrize("text", ["[" * 60 + "]" * 60, "[" * 100_000, "{bad"])
def test_json_that_is_too_deep_or_none_is_text(text):
    found = steps([(1.01, "send", 1, text)])

    assert found.lines[1].startswith('await ws.send("')


def test_the_target_is_shown_without_its_query():
    one = msgspec.convert(socket(f"{URL}?token=x", 1, []), HarEntry)

    assert target_of(Recording("a.har", one, ())) == URL
