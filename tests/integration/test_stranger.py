"""A coordinator among strangers: garbage, false posts, misleading names."""

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.stats.fanin import Second
from loadgen.stats.histogram import Histogram
from loadgen.stats.tally import Tally
from loadgen.wire import WIRE, Hello, Post, to_wire
from tests.processes import PATIENCE, Coordinator, coordinator, eventually, get_json

HOSTILE = (
    "../../outside",
    "/tmp/outside",
    "..",
    ".",
    "",
    "a\0b",
    "a\nb",
    "a\r\nX: y",
    "x" * 5000,
    "con/../..",
    "🦊",
    "-rf",
    "~",
    "%2e%2e%2f",
    "$(id)",
    "<script>alert(1)</script>",
    "\x1b[2J",
    "target",
    "target.log",
    "\u202egol",
)


@pytest.fixture(scope="module")
def coord(tmp_path_factory) -> Iterator[Coordinator]:
    """A coordinator that waits for agents throughout."""
    with coordinator(
        tmp_path_factory.mktemp("runs"), "--agents", "999", "--wait", "600"
    ) as running:
        yield running


def post(url: str, body: bytes) -> tuple[int, Any]:
    """Returns status and JSON of a POST's answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=PATIENCE) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def joined(coord: Coordinator, name: str) -> str:
    """Returns the id of an agent that joins, once the limit on joins allows it."""

    def join() -> str:
        _, welcome = post(f"{coord.url}/v1/agents", to_wire(Hello(name, WIRE, "1", 10, (), {})))
        return str(welcome.get("id", ""))

    return str(eventually(join, "an agent joins"))


def try_to_join(coord: Coordinator, hello: Hello) -> tuple[int, Any]:
    """Returns the answer to an agent that joins, once the limit on joins allows it."""
    return eventually(
        lambda: (got := post(f"{coord.url}/v1/agents", to_wire(hello)))[0] != 429 and got,
        "an answer",
    )


def exchange(coord: Coordinator, sent: bytes) -> bytes:
    """Sends some bytes and then the end; returns all that comes back."""
    host, port = coord.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE) as sock:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := sock.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


def healthy(coord: Coordinator) -> None:
    assert get_json(f"{coord.url}/healthz")["status"] == "ok"
    assert "Traceback" not in coord.err
    assert "Error" not in coord.err, coord.err


LINES = st.sampled_from(
    [
        b"GET / HTTP/1.1",
        b"POST /v1/agents HTTP/1.1",
        b"GET /v1/run/seconds?since=%ff HTTP/1.1",
        b"Host: x",
        b"Host: y",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Content-Encoding: gzip",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b"Connection: upgrade",
        b"Authorization: Bearer \xff",
        b" folded",
        b"X:" + b"a" * 9000,
        b"",
        b"0",
        b"f" * 18,
        b"5",
        b"{}",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00\x01",
        b"\0" * 100,
        b"CONNECT x:1 HTTP/1.1",
        b"GET http://[::1 HTTP/1.1",
    ]
)


@settings(max_examples=60)
@given(st.lists(LINES | st.binary(max_size=50), max_size=12))
def test_garbage_on_the_port_is_refused_or_dropped(coord, lines):
    answer = exchange(coord, b"\r\n".join(lines))

    assert b" 500 " not in answer
    assert b"Traceback" not in answer
    healthy(coord)


@settings(max_examples=60)
@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["name", "wire", "version", "max_connections", "limits", "machine"]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_accepted_or_refused_in_one_line(coord, body):
    for path in ("/v1/agents", "/v1/agents/x/seconds", "/v1/agents/%2e%2e/seconds"):
        status, answer = post(coord.url + path, body)
        assert status in {200, 400, 404, 409, 426, 429}
        assert status == 200 or "\n" not in answer["error"]
    healthy(coord)


def test_an_impossible_number_is_refused(coord):
    """It is refused before it is counted.

    A huge index of a bucket would take as many bits.
    """
    agent = joined(coord, "liar")
    lies = [
        Tally(handshake=Histogram({10**15: 1})),
        Tally(handshake=Histogram({-1: 1})),
        Tally(ping_rtt=Histogram({5: -3})),
        Tally(launched=-1),
        Tally(launched=2**60),
        Tally(failed={"refused": -1}),
        Tally(failed={"x" * 1000: 1}),
        Tally(counters={str(number): 1 for number in range(1000)}),
    ]
    for lie in lies:
        status, answer = post(
            f"{coord.url}/v1/agents/{agent}/seconds", to_wire(Post((Second(0, lie),)))
        )
        assert (status, "$.seconds[0].tally" in answer["error"]) == (400, True), answer
    healthy(coord)


@pytest.mark.parametrize(
    "field",
    [
        '"agent_cpu_s": 1e999',
        '"agent_cpu_s": NaN',
        '"agent_cpu_s": null',
        '"gate": null',
        '"gate": ' + "9" * 5000,
        '"workers": [{"worker": 0, "cpu_s": -1e999, "rss": 1}]',
        '"clock": {"name": "a", "offset": 1e999, "bound": 0}',
        '"seconds": [{"number": 1e999}]',
        '"addresses": ' + "[" * 900 + "]" * 900,
    ],
)
def test_a_number_that_is_none_is_refused_in_one_line(coord, field):
    agent = joined(coord, "odd")
    url = f"{coord.url}/v1/agents/{agent}/seconds"
    for text in ("", '"notes": ["\u202e"], '):  # with a sign that has to be made printable, too
        status, answer = post(url, f"{{{text}{field}}}".encode())
        assert (status, "\n" in answer["error"]) == (400, False), answer
        assert len(answer["error"]) < 300
    healthy(coord)


def test_no_one_posts_for_an_agent_whose_id_alone_is_known(coord):
    """Ids are counted up. The secret behind the dot stands in no file."""
    agent = joined(coord, "victim")
    public, _, secret = agent.partition(".")
    lie = to_wire(Post(finished=True, refusal="not me"))

    for guess in (public, f"{public}.", f"{public}.{secret[:-1]}", f"{public}.{secret}x"):
        url = f"{coord.url}/v1/agents/{guess}/seconds"
        # Strangers have an allowance, which the tests before this one may have used up.
        assert eventually(lambda url=url: (got := post(url, lie)[0]) != 429 and got, "it") == 404
    assert post(f"{coord.url}/v1/agents/{agent}/seconds", to_wire(Post(ready=True)))[0] == 200
    assert "not me" not in json.dumps(coord.state())
    written = b"".join(path.read_bytes() for path in coord.folder.rglob("*") if path.is_file())
    assert public.encode() in written
    assert secret.encode() not in written
    assert secret not in json.dumps(coord.state())


def test_what_is_refused_fills_no_journal(coord):
    agent = joined(coord, "known")
    journal = coord.folder / "journal.ndjson"
    before = journal.stat().st_size
    long = Post(notes=("x" * 20_000,))
    hello = Hello("x" * 20_000, WIRE - 1, "1", 10, (), {})
    for _ in range(20):
        for unknown in ("other-0.x", f"{agent}x", "x"):
            status, _ = post(f"{coord.url}/v1/agents/{unknown}/seconds", to_wire(long))
            assert status in (404, 429)
        assert post(f"{coord.url}/v1/agents", to_wire(hello))[0] in (426, 429)

    assert journal.stat().st_size - before < 20_000, "ticks alone"


def test_an_agent_that_posts_too_often_is_refused(coord):
    agent = joined(coord, "hasty")
    head = (
        b"POST /v1/agents/%b/seconds HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        % agent.encode()
    )
    answers = exchange(coord, head * 400)

    assert b"HTTP/1.1 200" in answers
    assert b"HTTP/1.1 429" in answers
    assert b"Retry-After" in answers
    healthy(coord)


@pytest.mark.parametrize("metrics", ["0.0.0.0:abc", "0.0.0.0:", "nowhere", "a b:1", "http://x:1/?"])
def test_an_impossible_address_of_metrics_is_refused(coord, metrics):
    hello = Hello("odd", WIRE, "1", 10, (), {}, metrics=metrics)
    status, answer = try_to_join(coord, hello)

    assert (status, "$.metrics" in answer["error"]) == (400, True)
    healthy(coord)


def test_a_hello_that_is_too_large_is_refused(coord):
    status, answer = try_to_join(coord, Hello("big", WIRE, "1", 10, (), {"fact": "x" * 300_000}))

    assert (status, "exceeded" in answer["error"]) == (413, True)


def test_no_name_leads_out_of_the_run_directory(tmp_path):
    """Names of agents, reasons of tracebacks and notes lead to no file elsewhere."""
    with coordinator(tmp_path / "runs", "--agents", str(len(HOSTILE)), "--max", "1000") as coord:
        ids = []
        for name in HOSTILE:
            status, welcome = post(
                f"{coord.url}/v1/agents", to_wire(Hello(name, WIRE, name, 64_000, (), {name: name}))
            )
            assert status == 200, welcome
            ids.append(welcome["id"])
        for name, agent in zip(HOSTILE, ids, strict=True):
            first = Post(
                ready=True, notes=(f"note of {name}",), tracebacks={name: f"traceback of {name}"}
            )
            assert post(f"{coord.url}/v1/agents/{agent}/seconds", to_wire(first))[0] == 200
        eventually(lambda: coord.state()["state"] == "running", "the run")
        coord.send(signal.SIGINT)
        coord.send(signal.SIGINT)
        coord.end()
        files = {
            path.relative_to(coord.folder) for path in coord.folder.rglob("*") if path.is_file()
        }
        assert {path.parts[0] for path in files if len(path.parts) == 2} <= {"agents", "errors"}
        assert max(len(path.parts) for path in files) == 2
        assert [
            str(path)
            for path in files
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", path.name)
        ] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert not Path("/tmp/outside").exists()


LIES = {
    "greedy": Tally(launched=150, opened=150, closed={"done": 150}),
    "closer": Tally(launched=100, opened=100, closed={"done": 120}),
    "keeper": Tally(launched=100, opened=100),
}
"""What agents with shares of 100 connections say; each of it can't be true."""


def test_a_run_whose_agents_say_what_can_not_be_true_fails(tmp_path):
    """They have the secrets of their own posts, as agents do."""
    options = ("--agents", "3", "--max", "300", "--rate", "1000", "--hold", "1")
    with coordinator(tmp_path, *options, "--expect", "opened>=300") as coord:
        ids = {name: joined(coord, name) for name in LIES}

        def says(name: str, said: Post) -> None:
            url = f"{coord.url}/v1/agents/{ids[name]}/seconds"
            assert post(url, to_wire(said))[0] == 200

        for name in LIES:
            says(name, Post(ready=True))
        eventually(lambda: coord.state()["state"] == "running", "the run")
        for name, lie in LIES.items():
            says(name, Post(seconds=(Second(0, lie),), finished=True))
        assert coord.end() == 1
        shown = coord.out
        summary = coord.summary()
    assert summary["expectations"][0]["held"]
    assert summary["verdict"] == "fail"
    assert [text for text in summary["breaches"] if text.startswith("agent")] == [
        "agent greedy: not_started is -50",
        "agent closer: open is -20",
        "agent keeper ended with 100 open",
    ]
    assert "agent greedy: not_started is -50" in shown
