from pathlib import Path

import pytest

from tests.peers.certificate import Certificate
from tests.peers.document import Entry, Measuring, behind, faults, render, table_of
from tests.peers.figures import Figures
from tests.peers.measure import Load
from tests.peers.order import SCRIPTS
from tests.peers.peer import Peer, Tool
from tests.peers.tools import own

OURS = Figures(open=9, sockets=9, flat_out=100, open_us=50, ping_us=10, kib=1, rest=0.01)
C_TOOL = Figures(open=9, sockets=9, flat_out=90, open_us=60, ping_us=5, rest=0.02)
DEAD = Figures(failed=9, words="Killed")


def test_the_best_of_each_column_is_bold():
    head, _, ours, theirs = table_of({"loadgen": OURS, "kali": C_TOOL}).splitlines()

    assert "| opens/s, paced | µs per open, paced |" in head
    assert ours.startswith("| loadgen | – | **50.0** | **100** |")
    assert theirs.startswith("| kali | – | 60.0 | 90.0 |")
    assert "| 10.0 |" in ours
    assert "| **5.0" in theirs


@pytest.mark.parametrize("figures", [None, DEAD])
def test_a_peer_that_was_not_measured_has_dashes_and_is_never_the_best(figures):
    *_, ours, theirs = table_of({"loadgen": OURS, "other": figures}).splitlines()

    assert set(theirs.removeprefix("| other").replace(" ", "")) == {"|", "–"}
    assert "| **10.0** |" in ours


def test_columns_that_another_peer_leads_are_named_with_both_values():
    assert [*behind({"loadgen": OURS, "kali": C_TOOL, "dead": DEAD, "none": None})] == [
        "µs per ping: kali 5.00, loadgen 10.0"
    ]


def test_a_measurement_without_loadgen_has_nothing_to_compare():
    assert [*behind({"kali": C_TOOL})] == []


def test_a_clean_run_has_no_faults():
    assert [*faults(OURS)] == []


def test_each_fault_is_said():
    figures = Figures(open=9, sockets=8, failed=1000, unread=2048, words="out of memory")

    assert [*faults(figures)] == [
        "1,000 connections did not open, or did not stay open",
        "8 sockets in the kernel where the server counts 9",
        "it still opened connections when all should have been silent",
        "2,048 bytes of messages were not read",
        "its last line was `out of memory`",
    ]


def test_the_document_has_versions_figures_reasons_commands_and_scripts():
    gone = Peer("gone", "C", "text", False, own.find)
    entries = [
        Entry(own.LOADGEN, Tool("7.1", own.words), "", OURS, OURS),
        Entry(gone, None, "no command gone on the PATH", None, None),
    ]
    certificate = Certificate(Path("own.pem"), Path("authority.pem"))

    measuring = Measuring(600, 1.25, "3 cores")
    tls = Load(1000, 200, certificate)
    text = render(entries, Load(4000, 1000, None), tls, "Bun 9", "make peers", measuring)

    assert "| loadgen | 7.1 | Python | frames | yes |" in text
    assert "| gone | not measured: no command gone on the PATH | C | text | no |" in text
    assert "Measured on: 3 cores; load average at the start: 1.2. Server: Bun 9." in text
    assert "It\ntakes 10 minutes." in text
    assert "    loadgen-coord --local 1" in text
    assert "--max 4000 --hold 600 --ping none --out FOLDER/runs ws://HOST:PORT/" in text
    assert "- Plain: in no column." in text
    assert all(f"`{path.name}`" in text for path in SCRIPTS.iterdir() if path.is_file())
