"""`loadgen-report` on run directories."""

from pathlib import Path

from tests.processes import coordinator, run, target

OPTIONS = ("--local", "1", "--rate", "100", "--think", "1", "--hold", "1")


def test_runs_are_rendered_and_compared(tmp_path):
    folders: list[Path] = []
    with target("--workers", "1") as server:
        for count in ("100", "50"):
            with coordinator(tmp_path / count, *OPTIONS, "--max", count, server.ws) as coord:
                assert coord.end() == 0
                folders.append(coord.folder)
    one, other = map(str, folders)

    text = run("loadgen-report", one)
    assert text.returncode == 0
    assert "every second is valid" in text.stdout
    assert run("loadgen-report", one, "--format", "markdown").stdout.startswith("## ")
    assert run("loadgen-report", one, "--format", "csv").stdout.startswith("second,open,")
    assert run("loadgen-report", one, other, "--json").stdout.count('"schema":1') == 2

    same = run("loadgen-report", one, one, "--fail-on", "any")
    assert (same.returncode, same.stderr) == (0, "")
    worse = run("loadgen-report", one, other, "--fail-on", "open_peak:10%")
    assert worse.returncode == 1
    assert "not quite comparable" in worse.stdout
    assert "regression" in worse.stderr
    assert "open_peak: 100 before, now 50, -50.0 %; 10 % are allowed" in worse.stderr
    assert run("loadgen-report", one, other, "--fail-on", "open_peak:60%").returncode == 0

    for options in (
        ["--fail-on", "speed", one, other],
        ["--fail-on", "any", one],
        ["--format", "parquet", "--output", str(tmp_path / "seconds"), one, other],
    ):
        refused = run("loadgen-report", *options)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    nowhere = run("loadgen-report", one, "--output", str(tmp_path / "no" / "file"))
    assert (nowhere.returncode, "--output" in nowhere.stderr) == (2, True)
