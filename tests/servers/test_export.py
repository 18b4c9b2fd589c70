"""Settled seconds leave for a real InfluxDB, Debian's, while the run goes on."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from coordinator.influx.exporter import Exporter, finish
from coordinator.influx.receiver import receiver_of
from coordinator.report.samples import Sample
from tests.debian import installed
from tests.processes import (
    PATIENCE,
    Command,
    agent,
    command,
    coordinator,
    eventually,
    free_port,
    get_json,
    target,
)

RUN = ("--local", "2", "--rate", "100", "--max", "200", "--think", "0.5", "--hold", "6")
NOWHERE = "http://127.0.0.1:1/write?db=load&p=secret"
CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "{listen}"
"""


@pytest.fixture(scope="module")
def influxd() -> Path:
    """The package's binary, without its service."""
    return Path(installed("influxd", "influxdb"))


class Influx(Command):
    """A server with a database `load`."""

    def __init__(self, binary: Path, folder: Path, listen: str) -> None:
        config = folder / "influxdb.conf"
        config.write_text(CONFIG.format(folder=folder, listen=listen, rpc=free_port()))
        self._url = f"http://{listen}"
        super().__init__([str(binary), "run", "-config", str(config)])
        eventually(self._create_database, lambda: self.err[-2000:])

    @property
    def write(self) -> str:
        """The URL that takes lines."""
        return f"{self._url}/write?db=load"

    def _create_database(self) -> bool:
        body = urlencode({"q": "CREATE DATABASE load"}).encode()
        try:
            with urlopen(Request(f"{self._url}/query", body), timeout=PATIENCE):
                return True
        except OSError:  # it does not listen yet
            return False

    def rows(self, query: str) -> list[dict[str, object]]:
        """Returns the rows that a query finds; `time` is in seconds of UNIX time."""
        words = urlencode({"db": "load", "epoch": "s", "q": query})
        found = get_json(f"{self._url}/query?{words}")["results"][0].get("series", [])
        return [
            dict(zip(series["columns"], values, strict=True))
            for series in found
            for values in series["values"]
        ]


@pytest.fixture
def influx(influxd: Path, tmp_path: Path) -> Iterator[Influx]:
    """A running server."""
    (tmp_path / "influx").mkdir()
    with closing(Influx(influxd, tmp_path / "influx", f"127.0.0.1:{free_port()}")) as running:
        yield running


@pytest.mark.timeout(240)  # the first run installs it
def test_a_receiver_that_starts_late_gets_every_second_of_the_run(tmp_path, influxd):
    """A run whose other receiver never starts ends all the same, and says so."""
    listen = f"127.0.0.1:{free_port()}"
    (tmp_path / "influx").mkdir()
    exports = ("--export", f"http://{listen}/write?db=load", "--export", NOWHERE)
    with (
        target("--workers", "1") as server,
        coordinator(
            tmp_path / "runs", *RUN, *exports, "--expect", "opened==200", server.ws
        ) as coord,
    ):
        coord.says(r"--export http://\S+ can't be reached")
        with closing(Influx(influxd, tmp_path / "influx", listen)) as influx:
            assert coord.end() == 0
            fleet = influx.rows("select * from loadgen")
            agents = influx.rows("select * from loadgen_agent where agent = 'local-1'")
            (closed,) = influx.rows(
                "select sum(connections) from loadgen_ends where kind = 'closed'"
            )
        rows = {row["second"]: row for row in coord.rows()}
        begin = int(fleet[0]["time"])
        assert [int(row["time"]) - begin for row in fleet] == sorted(rows)
        assert [row["open"] for row in fleet] == [
            row["fleet"]["ledger"]["open"] for row in rows.values()
        ]
        assert {row["run"] for row in fleet} == {coord.folder.name}
        assert max(int(row["open"]) for row in agents) == 100
        assert closed["sum"] == 200
        good, bad = coord.summary()["exports"]
        assert (good["seconds"], good["missing"]) == (len(rows), 0)
        assert (bad["seconds"], bad["missing"]) == (0, len(rows))
        assert (
            f"exported to http://127.0.0.1:1/write: 0 seconds; {len(rows)} are MISSING" in coord.out
        )
        assert "secret" not in coord.out + coord.err


@pytest.mark.timeout(240)
def test_a_resumed_run_has_each_second_at_the_time_that_it_had_before(tmp_path, influx):
    options = ("--agents", "1", "--rate", "100", "--max", "100", "--think", "0.5", "--hold", "600")
    exported = ("--export", influx.write)
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path / "runs", *options, *exported, server.ws) as coord,
        agent(coord.url, "--once"),
    ):
        before = eventually(
            lambda: influx.rows("select open from loadgen where open = 100"), "a second with all"
        )
        coord.send(signal.SIGKILL)
        coord.end()
        arguments = ("--resume", str(coord.folder), *exported)
        with closing(Command(command("loadgen-coord", *arguments))) as again:
            eventually(
                lambda: len(influx.rows("select open from loadgen where open = 100")) > len(before),
                lambda: again.out + again.err,
            )
            again.send(signal.SIGINT)
            assert again.end() == 130, again.err

        times = [int(row["time"]) for row in influx.rows("select open from loadgen")]
        assert times == list(range(times[0], times[0] + len(times)))
        assert len(times) == len({row["second"] for row in coord.rows()})
        (receiver,) = coord.summary()["exports"]
        assert (receiver["seconds"], receiver["missing"]) == (len(times), 0)


async def export(url: str, sample: Sample, began: float = 0.0) -> tuple[Exporter, list[str]]:
    """Sends one second; returns the exporter that has ended, and what it warned of."""
    warnings: list[str] = []
    exporter = Exporter(receiver_of(url), "r", lambda: began, warnings.append)
    running = asyncio.create_task(exporter.run())
    exporter.add(sample)
    await finish([exporter], [running])
    return exporter, warnings


async def test_a_corrected_second_overwrites_the_earlier_version(influx):
    partial = Sample(7, {"open": 100}, {}, {}, ["no report from b"])
    corrected = Sample(7, {"open": 200}, {}, {}, [])
    for version in (partial, corrected):
        await export(influx.write, version, began=1_800_000_000.0)

    (row,) = influx.rows("select open, invalid from loadgen")

    assert row == {"time": 1_800_000_007, "open": 200, "invalid": ""}


async def test_a_failure_is_told_in_the_words_of_the_receiver(influx):
    url = influx.write.replace("db=load", "db=none")
    exporter, (warning,) = await export(url, Sample(0, {"open": 1}, {}, {}, []))

    assert f"--export {url.partition('?')[0]} takes no seconds (it answers 404" in warning
    assert 'database not found: \\"none\\"' in warning
    assert exporter.summary().missing == 1
