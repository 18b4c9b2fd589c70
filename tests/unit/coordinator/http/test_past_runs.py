"""The list of runs, their reports and archives."""

import io
import tarfile
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from coordinator.http.past_runs import CurrentRun, PastRuns
from coordinator.http.routes import NAMED
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import Tally
from tests.unit.coordinator.folders import START, begun_folder, finished_folder

CURRENT = CurrentRun("now", "running", 65.0, Ledger.of(30, Tally()))


def past_runs(out, current=CURRENT):
    """The runs of a directory, beside a current one."""
    return PastRuns(out, lambda: current)


@pytest.fixture
def out(tmp_path):
    """The output directory of a coordinator, empty."""
    out = tmp_path / "runs"
    out.mkdir()
    return out


@pytest.fixture
async def client(out):
    """A client of a port that serves the past runs alone."""
    app = web.Application()
    for name, handler in past_runs(out).handlers().items():
        app.router.add_get(NAMED[name].path, handler)
    async with TestClient(TestServer(app)) as client:
        yield client


def test_the_newest_run_is_listed_first(out):
    older = finished_folder(out)
    newer = finished_folder(out, started=START + timedelta(hours=1))

    assert past_runs(out).names() == [newer.name, older.name]


def test_only_directories_with_a_plan_are_runs(out, tmp_path):
    begun_folder(out, "run")
    begun_folder(out, ".hidden")
    begun_folder(out, "two words")
    (out / "empty").mkdir()
    (out / "link").symlink_to(begun_folder(tmp_path, "elsewhere"))

    assert past_runs(out).names() == ["run"]


def test_a_directory_that_does_not_exist_yet_has_no_runs(tmp_path):
    assert past_runs(tmp_path / "none").names() == []


async def test_a_list_without_runs_says_so(client):
    reply = await client.get("/runs")

    assert (reply.status, reply.content_type) == (200, "text/html")
    assert "There are none yet." in await reply.text()


async def test_the_current_run_is_apart_from_the_past_ones(client, out):
    finished = finished_folder(out)
    begun_folder(out, CURRENT.name)
    current, past = (await (await client.get("/runs")).text()).split('<h2 id="past-title">')

    assert '<a href="/">now</a>' in current
    assert '<span class="link" data-live="true">live</span>' in current
    assert "<dt>planned</dt><dd>30</dd>" in current
    assert "<dt>since its start</dt><dd>1:05 min</dd>" in current
    assert finished.name in past
    assert "/runs/now" not in past


async def test_a_run_that_is_over_is_not_live(out):
    failed = Tally(launched=2, failed={"refused": 2})
    over = CurrentRun("now", "done", 65.0, Ledger.of(2, failed))
    app = web.Application()
    app.router.add_get("/runs", past_runs(out, over).handlers()["past_runs"])
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/runs")).text()

    assert "data-live" not in text
    assert '<dt>failed</dt><dd data-level="bad">2</dd>' in text


@pytest.mark.parametrize("damage", [None, "{"])
async def test_a_run_without_a_readable_summary_is_listed_without_figures(client, out, damage):
    finished = finished_folder(out)
    begun = begun_folder(out, "begun")
    if damage is not None:
        (begun / "summary.json").write_text(damage)
    text = await (await client.get("/runs")).text()

    assert f'href="/runs/{finished.name}/report.html"' in text
    assert ">done</span></td>\n<td>20</td>\n<td>20</td>" in text
    assert "<td>no summary</td>" in text
    assert "/runs/begun/report.html" not in text
    assert "/runs/begun.tar.gz" in text


async def test_the_report_of_the_run_directory_is_served_in_a_sandbox(client, out):
    (begun_folder(out, "run") / "report.html").write_text("<p>as written</p>")
    reply = await client.get("/runs/run/report.html")

    assert await reply.text() == "<p>as written</p>"
    assert reply.headers["Content-Security-Policy"] == "sandbox allow-scripts"


async def test_a_report_that_is_a_link_is_rendered_from_the_run_instead(client, out, tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder = finished_folder(out)
    (folder / "report.html").symlink_to(tmp_path / "secret")
    reply = await client.get(f"/runs/{folder.name}/report.html")

    assert reply.status == 200
    assert f"<title>{folder.name}" in await reply.text()


async def test_a_sample_is_served_as_text(client, out):
    errors = begun_folder(out, "run") / "errors"
    errors.mkdir()
    (errors / "http_403.txt").write_bytes(b"<script>\xff")
    reply = await client.get("/runs/run/errors/http_403.txt")

    assert (reply.status, reply.content_type) == (200, "text/plain")
    assert await reply.text() == "<script>\N{REPLACEMENT CHARACTER}"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("file", ["none.txt", "link.txt", "..%2Fplan.toml", ".hidden", "folder"])
async def test_nothing_but_a_sample_is_served_as_one(client, out, tmp_path, file):
    errors = begun_folder(out, "run") / "errors"
    (errors / "folder").mkdir(parents=True)
    (errors / ".hidden").write_text("half")
    (tmp_path / "secret").write_text("secret")
    (errors / "link.txt").symlink_to(tmp_path / "secret")
    reply = await client.get(f"/runs/run/errors/{file}")

    assert reply.status == 404


async def test_a_run_that_cannot_be_reported_is_not_found_with_the_reason(client, out):
    begun_folder(out, "begun")
    reply = await client.get("/runs/begun/report.html")

    assert reply.status == 404
    assert "summary.json" in await reply.text()


@pytest.mark.parametrize("name", ["none", ".hidden", "link", "..%2felsewhere", "a" * 256])
@pytest.mark.parametrize("path", ["/runs/{}/report.html", "/runs/{}.tar.gz"])
async def test_a_name_leads_to_no_other_directory(client, out, tmp_path, name, path):
    begun_folder(out, ".hidden")
    (out / "link").symlink_to(begun_folder(tmp_path, "elsewhere"))
    reply = await client.get(path.format(name))

    assert reply.status == 404
    assert "/runs lists the runs" in await reply.text()


async def test_an_archive_has_every_file_of_its_run(client, out):
    folder = finished_folder(out)
    reply = await client.get(f"/runs/{folder.name}.tar.gz")
    body = await reply.read()

    assert reply.content_type == "application/gzip"
    assert reply.content_disposition.filename == f"{folder.name}.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        packed = {name: archive.extractfile(name).read() for name in archive.getnames()}
    assert packed == {
        f"{folder.name}/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
