"""Past runs, from the port of the current run."""

import io
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.processes import PATIENCE, coordinator

PUBLISHED = next((Path(__file__).parents[2] / "docs" / "million").glob("*/plan.toml")).parent


def fetch(url):
    """Returns status, headers and body of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.fixture(scope="module")
def coord(tmp_path_factory):
    """A coordinator that waits, with a published run in its output directory.

    Beside the run are links that lead out of the directory.
    """
    folder = tmp_path_factory.mktemp("archive")
    runs = folder / "runs"
    shutil.copytree(PUBLISHED, runs / "published")
    (folder / "secret").mkdir()
    (folder / "secret" / "plan.toml").write_text("secret")
    (runs / "link").symlink_to(folder / "secret")
    (runs / "published" / "agents" / "link.log").symlink_to(folder / "secret" / "plan.toml")
    with coordinator(runs, "--agents", "1", "--wait", "600") as running:
        running.says("agents join")
        yield running
        running.process.kill()


def test_runs_are_listed_with_their_reports(coord):
    status, headers, body = fetch(f"{coord.url}/runs")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b'href="/runs/published/report.html"' in body
    current, _, past = body.partition(b"Past runs")
    assert b">live<" in current
    assert past.count(b'.tar.gz"') == 1, "neither the current run nor the link is among them"

    status, headers, body = fetch(f"{coord.url}/runs/published/report.html")
    assert (status, headers["Content-Security-Policy"]) == (200, "sandbox allow-scripts")
    assert b"What this run proves" in body


def test_a_run_directory_is_served_as_one_archive(coord):
    status, headers, body = fetch(f"{coord.url}/runs/published.tar.gz")

    assert (status, headers["Content-Type"]) == (200, "application/gzip")
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        names = set(archive.getnames())
        for path in PUBLISHED.rglob("*"):
            if path.is_file():
                name = f"published/{path.relative_to(PUBLISHED)}"
                assert archive.extractfile(name).read() == path.read_bytes(), name
    assert "published/agents/link.log" not in names


@pytest.mark.parametrize(
    "name",
    [
        "link",
        "nothing",
        "..",
        "%2e%2e",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        ".",
        "published%2f..%2f..%2fsecret",
        "a" * 256,
    ],
)
def test_a_name_leads_to_no_other_directory(coord, name):
    assert fetch(f"{coord.url}/runs/{name}.tar.gz")[0] == 404
    assert fetch(f"{coord.url}/runs/{name}/report.html")[0] == 404
