"""The token of a fleet: it is in no process, no file but its own, and no output."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import (
    Coordinator,
    agent,
    children,
    coordinator,
    eventually,
    free_port,
    get_json,
)

SECRET = "a-secret-that-is-nowhere-else-0123456789"
HELD = (
    "--local",
    "1",
    "--with-target",
    "--max",
    "50",
    "--rate",
    "1000",
    "--think",
    "1",
    "--hold",
    "600",
)


@pytest.fixture
def token(tmp_path) -> Path:
    """A token file that only its owner can read."""
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


def family(pid: int) -> Iterator[int]:
    """Yields a process and all below it."""
    yield pid
    for child in children(pid):
        yield from family(child)


def visible(pid: int) -> bytes:
    """Returns all that other programs see of a process."""
    names = b"".join(
        os.readlink(link).encode()
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if os.path.lexists(link)
    )
    return (
        b"".join(
            Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ", "comm")
        )
        + names
    )


def written(coord: Coordinator) -> bytes:
    """Returns every file of the run directory, and the output."""
    files = [path for path in coord.folder.rglob("*") if path.is_file()]
    assert {"plan.toml", "run.json"} <= {path.name for path in files}
    return b"".join(path.read_bytes() for path in files) + (coord.out + coord.err).encode()


def test_the_token_is_in_no_process_and_no_file(tmp_path, token):
    """It is neither in coordinator, agents and workers, nor in the run directory."""
    server = f"ws://127.0.0.1:{free_port()}/v1/realtime?project=console"
    with coordinator(
        tmp_path / "runs", *HELD, server, "--token-file", str(token), "--public-view"
    ) as coord:
        eventually(lambda: coord.state()["ledger"]["open"] == 50, "50 open")
        pids = list(family(coord.pid))
        names = {Path(f"/proc/{pid}/comm").read_text().rstrip() for pid in pids}
        assert names >= {"loadgen-coord", "agent local-1", "loadgen-worker"}
        assert [pid for pid in pids if SECRET.encode() in visible(pid)] == []
        pages = [f"{coord.url}{path}" for path in ("/v1/run", "/v1/run/seconds")]
        assert SECRET not in str([get_json(page) for page in pages])
        coord.send(signal.SIGINT)
        assert coord.end() == 130
        assert SECRET.encode() not in written(coord)


def test_a_token_file_that_others_can_read_is_a_warning(tmp_path, token):
    token.chmod(0o644)
    listen = f"127.0.0.1:{free_port()}"
    with coordinator(
        tmp_path / "runs", "--token-file", str(token), "--public-view", listen=listen
    ) as coord:
        coord.says(rf"loadgen-coord: --token-file {token} can be read by others .* chmod 600")
        with agent(coord.url, "--token-file", str(token)) as joining:
            joining.says(rf"loadgen-agent: --token-file {token} can be read by others .* chmod 600")
            eventually(lambda: coord.state()["agents"], "the agent has joined")


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://192.0.2.1:8091", True),
        ("http://manager:8091", True),
        ("https://192.0.2.1:8091", False),
        ("http://[::1]:1", False),
        ("http://localhost:1", False),
    ],
)
def test_an_agent_that_sends_the_token_in_the_clear_warns_once(token, url, clear):
    with agent(url, "--token-file", str(token), "--orphan-after", "1") as sending:
        sending.says("waiting for a coordinator")
        warnings = sending.err.count(f"the token goes to {url} in the clear")
        assert warnings == clear
        assert SECRET not in sending.err + sending.out


def test_without_a_token_no_warning_mentions_it():
    with agent("http://192.0.2.1:8091", "--orphan-after", "1") as sending:
        sending.says("waiting for a coordinator")
        assert "token" not in sending.err
