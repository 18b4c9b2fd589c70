"""tsung.log and Tsung's status of a real run, against the ledger of that run."""

import pytest

from tests.processes import agent, coordinator, eventually, get_json, target
from tests.unit.tsung_reader import read_json, read_text, totals


@pytest.fixture(scope="module")
def server():
    """One target for all these tests."""
    with target("--workers", "1", "--mode", "appwrite") as running:
        yield running


def agrees(counted, summary):
    """Every count is the summary's, to the last connection."""
    histograms, ended = summary["histograms"], sum(summary["closed"].values())
    assert counted["users"] == counted["connected"] == 0
    assert (
        counted["users_count"]
        == counted["finish_users_count"]
        == summary["sessions_started"]
        == summary["launched"]
    )
    assert counted["websocket_succ"] == summary["opened"] == ended
    assert counted["connect"] == histograms["connect"]["count"]
    assert counted["request"] == histograms["handshake"]["count"]
    assert (counted["size_sent"], counted["size_rcv"]) == (
        summary["bytes_sent"],
        summary["bytes_received"],
    )
    assert counted["websocket_ping"] == summary["pings"]
    assert counted["tr_websocket_ping"] == counted["websocket_pong"] == summary["pongs"]


def test_the_log_has_the_counts_of_the_ledger_and_the_status_page_those_of_now(tmp_path, server):
    load = ("--agents", "1", "--max", "130", "--rate", "12", "--think", "1", "--hold", "2")
    with coordinator(tmp_path, *load, server.ws) as coord, agent(coord.url, "--once"):
        page = f"{coord.url}/es/ts_api:status"
        assert get_json(page)["connected_users"] == 0
        status = eventually(
            lambda: (now := get_json(page))["connected_users"] > 30 and now, "users are connected"
        )
        assert (status["phase"], status["phase_total"], status["active_beams"]) == (1, 1, 1)
        assert 0 < status["connected_users"] <= status["users"] <= 130
        assert status["request_rate"] > 0
        assert status["cpu_controller"] > 0
        assert coord.end() == 0, coord.err
    dumps = read_text((coord.folder / "tsung.log").read_text())

    assert len(dumps) == 2
    assert dumps[1].at - dumps[0].at <= 10
    assert dumps[0].values["users"][0] > 100
    agrees(totals(dumps), coord.summary())


@pytest.mark.parametrize("form", ["json", "none"])
def test_the_form_is_asked_for(tmp_path, server, form):
    load = ("--local", "1", "--max", "50", "--rate", "100", "--think", "0.2", "--hold", "1")
    with coordinator(tmp_path, *load, "--tsung-log", form, server.ws) as coord:
        assert coord.end() == 0, coord.err
    path = coord.folder / "tsung.log"

    assert path.exists() == (form == "json")
    if form == "json":
        agrees(totals(read_json(path.read_text())), coord.summary())


def test_failures_go_by_the_names_that_tsung_gives_them(tmp_path, server):
    load = ("--local", "1", "--max", "50", "--rate", "100", "--hold", "1")
    url = server.ws.replace("/v1/realtime", "/nothing/here")
    with coordinator(tmp_path, *load, url) as coord:
        assert coord.end() == 0, coord.err

    counted = totals(read_text((coord.folder / "tsung.log").read_text()))
    assert coord.summary()["failed"] == {"http_404": 50}
    assert (
        counted["websocket_fail"] == counted["users_count"] == counted["finish_users_count"] == 50
    )
