"""Debian's Prometheus with the deployed configuration scrapes a real fleet."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.debian import installed
from tests.processes import (
    PATIENCE,
    Command,
    agent,
    coordinator,
    eventually,
    free_port,
    get,
    get_json,
    target,
)

OPEN = 200
DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
RUN = ("--agents", "1", "--max", str(OPEN), "--rate", "1000", "--think", "0.5", "--hold", "600")


@pytest.fixture(scope="module")
def prometheus() -> Path:
    """The package's binary, without its service."""
    return Path(installed("prometheus", "prometheus"))


class Prometheus(Command):
    """A Prometheus with the deployed configuration.

    It scrapes a fleet each second.
    """

    def __init__(self, binary: Path, folder: Path, coordinator: str) -> None:
        text = (
            (DEPLOY / "prometheus.yml")
            .read_text()
            .replace("127.0.0.1:8091", urlsplit(coordinator).netloc)
        )
        config = folder / "prometheus.yml"
        config.write_text(text.replace(": 5s", ": 1s"))
        shutil.copy(DEPLOY / "rules.yml", folder)
        listen = f"127.0.0.1:{free_port()}"
        self._url = f"http://{listen}/api/v1/query"
        super().__init__(
            [
                str(binary),
                f"--config.file={config}",
                f"--web.listen-address={listen}",
                f"--storage.tsdb.path={folder / 'data'}",
            ]
        )

    def value(self, query: str) -> float:
        """The one sample that a query finds; waits until it finds one that is a number."""

        def look() -> "list[float]":
            try:
                found = get_json(f"{self._url}?{urlencode({'query': query})}")["data"]["result"]
            except OSError:  # it does not listen yet, or is not ready
                return []
            values = [float(sample["value"][1]) for sample in found]
            return values if len(values) == 1 and values[0] == values[0] else []

        return eventually(look, lambda: f"{query}: {self.err[-2000:]}")[0]


def check_metrics(text: str) -> None:
    """Checks that promtool accepts the metrics."""
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")]
)
def test_promtool_accepts_the_deployed_files(prometheus, words):
    promtool = installed("promtool", "prometheus")
    done = subprocess.run(
        [promtool, *words],
        cwd=DEPLOY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def server() -> Iterator:
    """A target."""
    with target("--workers", "1") as running:
        yield running


@pytest.mark.timeout(240)  # the first run installs it
def test_promtool_accepts_the_counters_and_timings_of_sessions(tmp_path, prometheus, server):
    path = tmp_path / "named.py"
    path.write_text(
        "async def session(user):\n"
        "    ws = await user.connect()\n"
        "    user.count('a \"name\" \\\\ of its own')\n"
        "    with user.transaction('été'):\n"
        "        await ws.ping()\n"
        "    await user.think(600)\n"
    )
    load = (
        "--agents",
        "1",
        "--max",
        "20",
        "--rate",
        "1000",
        "--hold",
        "600",
        "--session",
        str(path),
    )
    with (
        coordinator(tmp_path / "runs", *load, server.ws) as coord,
        agent(coord.url, "--allow-sessions") as scraped,
    ):
        eventually(
            lambda: coord.state()["counters"].get('a "name" \\ of its own') == 20, "all are counted"
        )
        of_agent, of_coordinator = (get(f"{url}/metrics") for url in (scraped.page, coord.url))
        check_metrics(of_agent)
        check_metrics(of_coordinator)
    assert r'loadgen_session_count_total{name="a \"name\" \\ of its own"} 20.0' in of_agent
    assert 'loadgen_session_timing_seconds_count{agent="' in of_coordinator


@pytest.mark.timeout(240)  # the first run installs it
def test_prometheus_scrapes_agent_and_coordinator(tmp_path, prometheus, server):
    """It does not get the token: monitoring may not control."""
    (tmp_path / "prometheus").mkdir()
    (tmp_path / "token").write_text("a-secret-that-Prometheus-does-not-have")
    token = ("--token-file", str(tmp_path / "token"))
    with (
        coordinator(tmp_path / "runs", *RUN, *token, server.ws) as coord,
        agent(coord.url, "--name", "scraped", *token) as scraped,
    ):
        eventually(lambda: server.stats()["open"] == OPEN, "all are open")
        with closing(Prometheus(prometheus, tmp_path / "prometheus", coord.url)) as monitor:
            quantile = "histogram_quantile(0.99, sum by (le) (loadgen_{}_seconds_bucket{{{}}}))"
            for labels in (
                'job="loadgen-agents",agent="scraped"',
                'job="loadgen-coordinator",agent="scraped"',
            ):
                eventually(
                    lambda labels=labels: (
                        monitor.value(f'loadgen_connections{{state="open",{labels}}}') == OPEN
                    ),
                    "Prometheus has all open",
                )
                assert monitor.value(f"loadgen_connections_opened_total{{{labels}}}") == OPEN
                assert monitor.value(f"loadgen_connections_launched_total{{{labels}}}") == OPEN
                assert monitor.value(f"loadgen_handshake_seconds_count{{{labels}}}") == OPEN
                assert monitor.value(f"loadgen_pings_total{{{labels}}}") > 0
                assert 0 < monitor.value(quantile.format("handshake", labels)) < 60
                assert 0 < monitor.value(quantile.format("ping_rtt", labels)) < 60
                assert monitor.value(f"rate(loadgen_pings_total{{{labels}}}[1m]) > 0") > 0
                assert monitor.value(f'up{{job="{labels.split(chr(34))[1]}"}}') == 1
            eventually(
                lambda: monitor.value("loadgen:connections_open:sum") == OPEN,
                "the rules are evaluated",
            )
        for page in (scraped.page, coord.url):
            check_metrics(get(f"{page}/metrics"))
