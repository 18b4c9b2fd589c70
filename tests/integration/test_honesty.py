"""A limit is named before the first connection.

Each failure has its true reason.
"""

import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from loadgen.planfile import read_plan
from loadgen.stats.ledger import Ledger
from tests.processes import (
    Address,
    Command,
    agent,
    command,
    coordinator,
    eventually,
    free_port,
    own_source,
    process,
    refusing_port,
    target,
)

HELD = ("--agents", "1", "--rate", "500", "--think", "0.5", "--hold", "600")
"""A load that lasts until every connection is closed or its agent stops, on any slow machine."""


def url_of(port: int) -> str:
    """Returns the URL of a target of the test's own."""
    return f"ws://127.0.0.1:{port}/v1/realtime"


def stop_agent(coord, loading: Command, launched: int) -> None:
    """Stops the agent once the coordinator has counted these launches.

    That ends the run.
    """

    def known() -> bool:
        ledger = coord.state()["ledger"]
        return bool(ledger["launched"] == launched and not ledger["connecting"])

    eventually(known, lambda: f"{launched} launched: {coord.state()}")
    loading.send(signal.SIGTERM)


def adds_up(coord, **expected) -> dict:
    """Returns the summary of a run that ended by itself.

    Its ledger and its figures have been checked.
    """
    assert coord.end() == 0, coord.err
    assert "Traceback" not in coord.out + coord.err
    summary, last = coord.summary(), coord.rows()[-1]["fleet"]["ledger"]
    failed, closed = sum(summary["failed"].values()), sum(summary["closed"].values())
    assert summary["launched"] == failed + summary["opened"]
    assert summary["opened"] == summary["open_end"] + closed + summary["lost"]
    wrong = [why for second in summary["invalid_seconds"] for why in second["why"]]
    # On a busy machine a worker may stand still, or launch late.
    assert [why for why in wrong if "stood still" not in why and "late by" not in why] == []
    assert last["planned"] == last["not_started"] + last["launched"]
    assert {name: last[name] for name in ("launched", "opened", "failed", "closed", "lost")} == {
        name: summary[name] for name in ("launched", "opened", "failed", "closed", "lost")
    }
    assert (last["connecting"], last["open"], summary["lost"]) == (0, 0, 0)
    assert set(last) == set(Ledger.__struct_fields__)
    known = {"open_end": 0} | expected
    assert {name: summary[name] for name in known} == known
    return summary


def warned(coord, agent, resource: str, holds: int, fix: str) -> None:
    """Agent and coordinator named the limiting resource and the fix.

    Each did so in one line, with the number of connections.
    """
    warning_text = f"holds {holds}, limited by {resource}"
    assert "Traceback" not in agent.err
    (log,) = (coord.folder / "agents").iterdir()
    for where, text in (
        ("agent", agent.err),
        ("coordinator", coord.err),
        ("its log", log.read_text()),
    ):
        lines = [line for line in text.splitlines() if resource in line]
        assert lines, f"{where}: {text!r}"
        assert str(holds) in lines[0], where
        assert fix in lines[0], where
    lines = agent.err.splitlines()
    (warning,) = (number for number, line in enumerate(lines) if warning_text in line)
    (opens,) = (
        number
        for number, line in enumerate(lines)
        if "opens" in line and "connections with" in line
    )
    assert warning < opens
    facts = json.loads((coord.folder / "run.json").read_text())
    assert resource in facts["agents"][0]["preflight"]


# --- What the machine or its operator does not give
# -------------------------------------------------------------------


def test_too_few_descriptors_are_named_before_and_counted_after(tmp_path):
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, server.ws, *HELD, "--max", "300") as coord,
    ):
        options = (
            "--coordinator",
            coord.url,
            "--metrics",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--source",
            own_source(),
        )
        loading = Command(["prlimit", "--nofile=200:200", *command("loadgen-agent", *options)])
        with closing(loading):
            stop_agent(coord, loading, 300)
            summary = adds_up(coord, planned=300, launched=300)
            opened = summary["opened"]
            assert 136 <= opened < 200
            assert (summary["failed"], summary["closed"]) == (
                {"no_fd": 300 - opened},
                {"drained": opened},
            )
            warned(coord, loading, "file_descriptors", 136, "ulimit -n ")
            eventually(lambda: server.stats()["open"] == 0, "the target holds none")
            assert server.stats()["opened"] == opened


def test_too_few_source_ports_are_named_before_and_counted_after(tmp_path):
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, server.ws, *HELD, "--max", "100") as coord,
        agent(coord.url, "--ports", "30000-30049") as loading,
    ):
        stop_agent(coord, loading, 100)
        adds_up(
            coord, planned=100, launched=100, opened=50, open_peak=50,
            failed={"no_local_port": 50}, closed={"drained": 50},
        )  # fmt: skip
        warned(coord, loading, "source_ports", 50, "--source")
        assert server.stats()["opened"] == 50


def test_users_without_a_place_on_an_agent_were_not_started(tmp_path):
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, server.ws, *HELD, "--max", "200") as coord,
        agent(coord.url, "--max-connections", "100") as loading,
    ):
        stop_agent(coord, loading, 100)
        summary = adds_up(
            coord,
            planned=200,
            launched=100,
            opened=100,
            open_peak=100,
            failed={},
            closed={"drained": 100},
        )
        assert (
            coord.rows()[-1]["fleet"]["ledger"]["not_started"]
            == summary["planned"] - summary["launched"]
            == 100
        )
        warned(coord, loading, "max_connections", 100, "--max-connections 200")


# --- What the target does not give
# ------------------------------------------------------------------------------------


def test_a_full_target_refuses_the_rest(tmp_path):
    with (
        target("--workers", "2", "--limit", "300") as server,
        coordinator(tmp_path, server.ws, *HELD, "--max", "600") as coord,
        agent(coord.url) as loading,
    ):
        stop_agent(coord, loading, 600)
        adds_up(
            coord, planned=600, launched=600, opened=300, open_peak=300,
            failed={"http_503": 300}, closed={"drained": 300},
        )  # fmt: skip
        assert (server.stats()["opened"], server.stats()["refused"]) == (300, 300)


def test_a_target_that_is_killed_ends_what_was_open_and_refuses_the_rest(tmp_path):
    port = free_port()
    options = ("--listen", f"127.0.0.1:{port}", "--workers", "2")
    with process("loadgen-target", *options, start_new_session=True) as server:
        assert server.stdout.readline()
        stats = Address("127.0.0.1", port).stats
        with (
            coordinator(tmp_path, url_of(port), *HELD, "--rate", "150", "--max", "300") as coord,
            agent(coord.url),
        ):
            eventually(lambda: stats()["open"] >= 100, "a third is open")
            os.killpg(server.pid, signal.SIGKILL)
            summary = adds_up(coord, planned=300, launched=300)
            assert 100 <= summary["opened"] < 300
            assert set(summary["closed"]) <= {"reset", "server_eof"}
            # Who was in the middle of the handshake when it died was reset.
            assert set(summary["failed"]) <= {"refused", "reset"}
            assert summary["failed"]["refused"] > 0


def test_where_nothing_listens_all_are_refused_and_nothing_is_waited_for(tmp_path):
    """The hold is ten minutes: only a run that ends with its last connection passes."""
    with (
        coordinator(tmp_path, url_of(refusing_port()), *HELD, "--max", "100") as coord,
        agent(coord.url),
    ):
        adds_up(
            coord,
            planned=100,
            launched=100,
            opened=0,
            open_peak=0,
            failed={"refused": 100},
            closed={},
        )


@contextmanager
def answering(data: bytes) -> Iterator[int]:
    """Runs a server that answers every connection with these bytes and closes.

    Yields its port.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def serve() -> None:
            while True:
                line, _ = listener.accept()
                with line:
                    if not line.recv(65536):
                        return
                    line.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with socket.create_connection(listener.getsockname()):
                pass  # a connection without data ends the server
            thread.join()


FAULTS = {
    "wrong-key": "bad_accept",
    "refuse": "http_503",
    "reset=0.1": "reset",
    "close=0.1": "server_1001",
    "split-frames": "drained",
    "slow-accept=0.2": "drained",
}
"""The reason that connections to a target with each fault end by."""
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"
NO_WEBSOCKET = {PAGE: "http_200", SSH: "no_http"}


def test_each_fault_of_a_target_has_its_reason(tmp_path):
    """One run loads a target with each fault, and servers that speak no WebSocket."""
    with ExitStack() as stack:
        servers = {
            fault: stack.enter_context(target("--workers", "1", "--vice", fault))
            for fault in FAULTS
        }
        urls = [server.ws for server in servers.values()]
        urls += [url_of(stack.enter_context(answering(data))) for data in NO_WEBSOCKET]
        plan = tmp_path / "plan.toml"
        plan.write_text("".join(f'[[targets]]\nurl = "{url}"\n' for url in urls))
        options = ("--plan", str(plan), *HELD, "--max", "480")
        coord = stack.enter_context(coordinator(tmp_path / "runs", *options))
        loading = stack.enter_context(agent(coord.url))
        users = Counter(map(read_plan(plan).target_of, range(480)))
        assert min(users[place] for place in range(len(urls))) > 30
        ends = dict(zip(range(len(urls)), [*FAULTS.values(), *NO_WEBSOCKET.values()], strict=True))
        kept = sum(users[place] for place, reason in ends.items() if reason == "drained")
        eventually(lambda: coord.state()["ledger"]["open"] == kept, lambda: f"{coord.state()}")
        stop_agent(coord, loading, 480)
        summary = adds_up(coord, planned=480, launched=480)
        failed, closed = Counter[str](), Counter[str]()
        for place, reason in ends.items():
            part = closed if reason in ("reset", "server_1001", "drained") else failed
            part[reason] += users[place]
        assert (summary["failed"], summary["closed"]) == (failed, closed)
        assert [server.stats()["opened"] for server in servers.values()] == [
            users[place] if ends[place] in closed else 0 for place in range(len(servers))
        ]
