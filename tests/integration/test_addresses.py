"""All addresses of a name, names that change during a run, and Unix sockets.

A name needs a resolver: the commands run with an /etc/hosts of their own.
"""

import json
import os
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve, unix_serve

from coordinator.report.html import html_report
from coordinator.report.text import text_report
from coordinator.storage.reader import read_run
from tests.processes import (
    Command,
    Coordinator,
    agent,
    command,
    coordinator,
    environment,
    eventually,
    run,
)

FIRST, SECOND, THIRD = "127.0.13.2", "127.0.13.3", "127.0.13.4"
BRIEF = ("--local", "1", "--rate", "500", "--hold", "1", "--think", "1")


class Servers:
    """Servers of the `websockets` library, on addresses or paths."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        """Connections by the address that they came to."""
        self.hosts: set[str | None] = set()
        """The Host headers that were sent."""
        self._stack = ExitStack()

    def listen(self, address: str, port: int = 0) -> int:
        """Begins to serve an address; returns its port."""
        sock = socket.create_server(
            (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET
        )
        self._run(serve(self._handler_of(address), sock=sock))
        return sock.getsockname()[1]

    def listen_at(self, path: Path) -> None:
        """Begins to serve a Unix socket."""
        self._run(unix_serve(self._handler_of(str(path)), str(path)))

    def _handler_of(self, address: str):
        def handle(connection: ServerConnection) -> None:
            self.opened[address] += 1
            assert connection.request is not None
            self.hosts.add(connection.request.headers["Host"])
            with suppress(ConnectionClosed):
                for message in connection:
                    connection.send(message)

        return handle

    def _run(self, server: Server) -> None:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self._stack.callback(thread.join, 10)
        self._stack.callback(server.shutdown)

    def close(self) -> None:
        """Ends all of them."""
        self._stack.close()


@contextmanager
def servers() -> Iterator[Servers]:
    """Servers that end with the block."""
    with closing(Servers()) as found:
        yield found


class HostsFile:
    """An /etc/hosts for the commands that are started with it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def say(self, *addresses: str, name: str = "rt.test") -> None:
        """Gives a name these addresses; commands that run see it at their next look."""
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for address in addresses)]
        self._path.write_text("\n".join(lines) + "\n")  # in place: it is mounted

    def before(self, name: str, *arguments: str) -> list[str]:
        """Returns the command line of one of loadgen's commands."""
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        enter = ["unshare", "--mount", "sh", "-c", script, str(self._path)]
        return [*enter, *command(name, *arguments)]

    @contextmanager
    def coordinator(self, out: Path, *arguments: str) -> Iterator["Named"]:
        """A coordinator with this file, which ends with the block."""
        with closing(Named(self, out, arguments)) as found:
            yield found


class Named(Coordinator):
    """A coordinator, and local agents, with an /etc/hosts of their own."""

    def __init__(self, hosts: HostsFile, out: Path, arguments: tuple[str, ...]) -> None:
        self._folder = out
        options = ("--listen", "127.0.0.1:0", "--out", str(out), *arguments)
        Command.__init__(self, hosts.before("loadgen-coord", *options))


@pytest.fixture
def hosts(tmp_path) -> HostsFile:
    """An /etc/hosts; the test is skipped where this user may not mount it."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and util-linux: it mounts an /etc/hosts")
    return HostsFile(tmp_path / "hosts")


def facts_of(coord: Coordinator) -> dict:
    """Returns the content of run.json."""
    return json.loads((coord.folder / "run.json").read_text())


def log_of(coord: Coordinator, name: str = "local-1") -> str:
    """Returns the log of an agent in the run directory; empty while it has none."""
    log = coord.folder / "agents" / f"{name}.log"
    return log.read_text() if log.exists() else ""


def test_users_are_spread_over_all_addresses_and_pass_over_one_that_refuses(hosts, tmp_path):
    """The users of the dead one are shared by the others."""
    hosts.say(FIRST, SECOND, THIRD)
    with servers() as all_servers:
        port = all_servers.listen(FIRST)
        all_servers.listen(THIRD, port)
        url = f"ws://rt.test:{port}/v1/realtime"
        options = (*BRIEF, "--local", "2", "--max", "90", url)
        with hosts.coordinator(tmp_path / "out", *options) as coord:
            assert coord.end() == 0, coord.err
            summary = coord.summary()
    assert all_servers.opened == {FIRST: 45, THIRD: 45}
    assert all_servers.hosts == {f"rt.test:{port}"}
    assert (summary["opened"], summary["failed"], summary["addresses_passed"]) == (90, {}, 30)
    sample = (coord.folder / "errors" / "addresses_passed.txt").read_text()
    assert f"{SECOND}, port {port}: refused; passed over, " in sample
    assert f"{SECOND}, port {port}: refused" in log_of(coord)
    for one in facts_of(coord)["agents"]:
        assert sorted(one["addresses"][url]) == [FIRST, SECOND, THIRD]
        detail = next(limit["detail"] for limit in one["limits"] if "port" in limit["resource"])
        assert detail.startswith("3 pairs of source and target addresses × ")
    record = read_run(coord.folder)
    assert "errors/addresses_passed.txt" in text_report(record.summary, record.name)
    assert f"{FIRST}, {SECOND}, {THIRD}" in html_report(record)


def test_a_user_fails_once_all_addresses_were_tried(hosts, tmp_path):
    hosts.say(FIRST, SECOND)
    with socket.create_server((FIRST, 0)) as listener:
        port = listener.getsockname()[1]
    with hosts.coordinator(
        tmp_path / "out", *BRIEF, "--max", "20", f"ws://rt.test:{port}"
    ) as coord:
        assert coord.end() == 0, coord.err
        summary = coord.summary()
    assert (summary["failed"], summary["addresses_passed"]) == ({"refused": 20}, 20)
    sample = (coord.folder / "errors" / "refused.txt").read_text()
    assert f", port {port}: refused" in sample


def test_an_address_of_the_other_family_takes_its_users_too(hosts, tmp_path):
    if not has_ipv6():
        pytest.skip("this machine has no ::1")
    hosts.say(FIRST, "::1")
    with servers() as both:
        port = both.listen(FIRST)
        both.listen("::1", port)
        url = f"ws://rt.test:{port}/"
        with hosts.coordinator(tmp_path / "out", *BRIEF, "--max", "40", url) as coord:
            assert coord.end() == 0, coord.err
    assert both.opened == {FIRST: 20, "::1": 20}


def has_ipv6() -> bool:
    """Returns True when this machine can listen on ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_sources_of_one_family_leave_out_the_addresses_of_the_other(hosts, tmp_path):
    hosts.say(FIRST, "::1")
    with servers() as all_servers:
        port = all_servers.listen(FIRST)
        url = f"ws://rt.test:{port}/"
        agent_source = {"LOADGEN_AGENT_SOURCE": "127.0.0.1"}
        options = hosts.before("loadgen-coord", "--listen", "127.0.0.1:0", *BRIEF)
        options += ["--max", "20", "--out", str(tmp_path / "out"), url]
        with closing(Command(options, env=environment() | agent_source)) as coord:
            assert coord.end() == 0, coord.err
    assert all_servers.opened == {FIRST: 20}


def test_a_name_is_resolved_again_where_the_plan_says_so(hosts, tmp_path):
    """Users go to the new address; a name that is gone keeps its addresses."""
    hosts.say(FIRST)
    with servers() as both:
        port = both.listen(FIRST)
        both.listen(SECOND, port)
        url = f"ws://rt.test:{port}/"
        plan = tmp_path / "plan.toml"
        plan.write_text(
            f'target = "{url}"\nrate = 20\nmax = 2000\nhold = 1\nthink = 5\n'
            '[transport]\nresolve = "1s"\n'
        )
        options = ("--local", "1", "--plan", str(plan))
        with hosts.coordinator(tmp_path / "out", *options) as coord:
            eventually(lambda: both.opened[FIRST] > 5, "users are at the first address")
            assert not both.opened[SECOND]
            hosts.say(SECOND)
            eventually(lambda: both.opened[SECOND], "users go to the second address")
            moved = both.opened[FIRST]
            hosts.say()
            eventually(lambda: "keeps the addresses" in log_of(coord), "the name is gone")
            before = both.opened[SECOND]
            eventually(lambda: both.opened[SECOND] > before, "users still come")
            assert both.opened[FIRST] <= moved + 1  # a dial that was under way
            (told,) = coord.state()["agents"]
            assert told["addresses"] == {url: [SECOND]}
    assert f"rt.test is {SECOND} now, and no longer {FIRST}" in log_of(coord)
    assert log_of(coord).count("keeps the addresses of rt.test") == 1


def test_a_new_address_has_to_be_allowed_like_the_first(hosts, tmp_path):
    """An agent that allows a network only keeps the old addresses, and says so."""
    hosts.say(FIRST)
    with servers() as only:
        port = only.listen(FIRST)
        plan = tmp_path / "plan.toml"
        plan.write_text(
            f'target = "ws://rt.test:{port}/"\nrate = 20\nmax = 2000\n[transport]\nresolve = 1\n'
        )
        options = ("--agents", "1", "--plan", str(plan))
        with coordinator_and_agent(hosts, tmp_path / "out", options) as coord:
            eventually(lambda: only.opened[FIRST] > 5, "users are at the first address")
            hosts.say("192.0.2.7", FIRST)
            eventually(
                lambda: "refuses target rt.test (192.0.2.7)" in log_of(coord, "one"), "refuses"
            )
            before = only.opened[FIRST]
            eventually(lambda: only.opened[FIRST] > before, "users still come")
            assert coord.state()["ledger"]["failed"] == {}


@contextmanager
def coordinator_and_agent(hosts: HostsFile, out: Path, options: tuple[str, ...]) -> Iterator[Named]:
    """A coordinator and an agent of its own that allows nothing but loopback."""
    with hosts.coordinator(out, *options) as coord:
        arguments = ("--coordinator", coord.url, "--metrics", "127.0.0.1:0", "--workers", "1")
        line = hosts.before("loadgen-agent", *arguments, "--name", "one", "--once")
        with closing(Command(line)):
            yield coord


def test_one_address_that_is_not_allowed_refuses_the_whole_target(hosts, tmp_path):
    hosts.say(FIRST, "192.0.2.7")
    options = ("--agents", "1", "--max", "10", "ws://rt.test:9/")
    with coordinator_and_agent(hosts, tmp_path / "out", options) as coord:
        refusal = "refuses target rt.test (192.0.2.7): start the agent with --allow-target rt.test"
        eventually(lambda: refusal in coord.err, "it refuses")


def test_a_dry_run_names_all_addresses(hosts, tmp_path):
    hosts.say(FIRST, SECOND, THIRD)
    line = hosts.before(
        "loadgen-coord", "--dry-run", "--local", "1", "--max", "10", "ws://rt.test/"
    )
    with closing(Command(line)) as shown:
        assert shown.end() == 0, shown.err
        (targets,) = (line for line in shown.out.splitlines() if line.startswith("target rt.test"))
    for address in (FIRST, SECOND, THIRD):
        assert address in targets
    assert targets.endswith("port 80")


# --- Unix sockets ---------------------------------------------------------------------------------


def test_a_unix_socket_is_loaded_without_any_port(tmp_path):
    path = tmp_path / "app.sock"
    url = f"ws+unix://{path}:/v1/realtime?a=b"
    with servers() as server:
        server.listen_at(path)
        with coordinator(tmp_path / "out", *BRIEF, "--max", "200", url) as coord:
            assert coord.end() == 0, coord.err
            summary = coord.summary()
    assert server.opened == {str(path): 200}
    assert server.hosts == {"localhost"}
    assert (summary["opened"], summary["failed"]) == (200, {})
    assert summary["pongs"] > 0
    assert summary["closed"] == {"drained": 200}
    (told,) = facts_of(coord)["agents"]
    assert told["addresses"] == {url: [str(path)]}
    assert "source_ports" not in {limit["resource"] for limit in told["limits"]}


def test_a_server_that_leaves_its_socket_is_a_counted_reason(tmp_path):
    """A bound socket on which nothing listens; later it is gone."""
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        options = (*BRIEF, "--max", "10", f"ws+unix://{path}")
        with coordinator(tmp_path / "out", *options) as coord:
            assert coord.end() == 0, coord.err
            assert coord.summary()["failed"] == {"refused": 10}
    sample = (coord.folder / "errors" / "refused.txt").read_text()
    assert f"Unix socket {path}: refused" in sample


def test_a_socket_that_vanishes_during_the_run_is_a_counted_reason(tmp_path):
    path = tmp_path / "app.sock"
    with servers() as server:
        server.listen_at(path)
        options = ("--local", "1", "--rate", "20", "--max", "100", "--hold", "0")
        with coordinator(tmp_path / "out", *options, f"ws+unix://{path}") as coord:
            eventually(lambda: server.opened, "users come")
            path.unlink()
            assert coord.end() == 0, coord.err
            assert set(coord.summary()["failed"]) == {"enoent"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [("missing", "No such file or directory"), ("file", "it is no socket")],
)
def test_a_path_without_a_socket_is_one_line_before_the_run(tmp_path, kind, words):
    path = tmp_path / "app.sock"
    if kind == "file":
        path.touch()
    arguments = ("--out", str(tmp_path / "out"), f"ws+unix://{path}")
    for dry in ((), ("--dry-run",)):
        done = run("loadgen-coord", *BRIEF, "--max", "10", *arguments, *dry)
        assert done.returncode == 2
        assert f"no way to the Unix socket {path}: {words}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_agent_loads_only_the_socket_that_its_owner_names(tmp_path):
    path = tmp_path / "app.sock"
    with servers() as server:
        server.listen_at(path)
        options = ("--agents", "1", "--rate", "100", "--max", "20", "--hold", "0")
        with (
            coordinator(tmp_path / "refused", *options, f"ws+unix://{path}") as coord,
            agent(coord.url, "--once", "--allow-target", f"{path}.other"),
        ):
            eventually(lambda: f"--allow-target {path}\n" in coord.err, "it refuses")
        with (
            coordinator(tmp_path / "out", *options, f"ws+unix://{path}") as coord,
            agent(coord.url, "--once", "--allow-target", str(path)),
        ):
            assert coord.end() == 0, coord.err
    assert server.opened == {str(path): 20}
