"""Tsung's configurations become a plan, or an error that refuses them."""

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.tsung.configuration import MAX_REFUSALS, read_tsung
from coordinator.tsung.document import MAX_BYTES, read_document
from coordinator.tsung.element import Note, TsungError
from coordinator.tsung.load import at_most, with_singles
from loadgen.plan.phases import Phase
from loadgen.plan.sessions import Loop
from loadgen.planfile import read_plan, to_toml

CORPUS = Path(__file__).parent
TAKEN = sorted((CORPUS / "taken").glob("*.xml"))
REFUSED = sorted((CORPUS / "refused").glob("*.xml"))
APPWRITE = CORPUS / "taken" / "appwrite.xml"


@pytest.mark.parametrize("path", TAKEN, ids=lambda path: path.stem)
def test_a_configuration_becomes_its_plan(path):
    """The plan is beside each file, without its defaults.

    The notes are there too, with their lines.
    """
    imported = read_tsung(path)

    assert imported.plan == read_plan(path.with_suffix(".toml"))
    assert [f"{note.line}: {note.text}" for note in imported.notes] == path.with_suffix(
        ".notes"
    ).read_text().splitlines()


@pytest.mark.parametrize("path", TAKEN, ids=lambda path: path.stem)
def test_the_plan_can_be_written_to_a_file(path, tmp_path):
    plan = read_tsung(path).plan
    written = tmp_path / "plan.toml"
    written.write_bytes(to_toml(plan))

    assert read_plan(written) == plan


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path.stem)
def test_a_configuration_that_cannot_be_imported_is_refused_at_its_line(path):
    """A comment in each file has the line of the error and a part of its text."""
    expected = re.search(r"<!-- (\d+): (.*?) -->", path.read_text())
    with pytest.raises(TsungError) as caught:
        read_tsung(path)

    message = str(caught.value)
    assert message.startswith(f"{path}:{expected[1]}: ")
    assert expected[2] in message
    assert message.count(str(path)) == 1, "an error quotes another error"
    assert "\n" not in message


def test_everything_that_is_refused_is_told_at_once_in_the_order_of_the_lines():
    with pytest.raises(TsungError) as caught:
        read_tsung(CORPUS / "many-refusals.xml")

    lines = [str(caught.value), *caught.value.further]
    found = [re.fullmatch(r".*/many-refusals\.xml:(\d+): (.+)", line) for line in lines]
    assert [(int(each[1]), each[2].partition(";")[0]) for each in found] == [
        (4, "cpu='none' of <client> is not a whole number from 1"),
        (7, "a server of type 'udp' speaks no WebSocket"),
        (11, "arrivalrate='many' of <users> is not a number above 0"),
        (13, "a phase needs a duration above 0"),
        (18, f"file {CORPUS}/nowhere.csv can't be read (No such file or directory)"),
        (19, "value='x' of <option> is not a whole number"),
        (25, "<thinktim> is no step of a session"),
        (27, "value='soon' of <thinktime> is not a number above 0"),
        (28, found[8][2].partition(";")[0]),
        (31, "unsupported session type ts_ldap: loadgen speaks WebSocket"),
        (32, "the script never connects"),
    ]


def test_of_very_many_refusals_the_first_are_told(tmp_path):
    servers = "\n".join(
        '<server host="a" port="none" type="tcp"/>' for _ in range(MAX_REFUSALS + 9)
    )
    path = tmp_path / "t.xml"
    path.write_text(f"<tsung><servers>\n{servers}\n</servers></tsung>")
    with pytest.raises(TsungError) as caught:
        read_tsung(path)

    first, last = str(caught.value), caught.value.further[-1]
    assert first == f"{path}:1: there is no <clients>; write it into <tsung>"
    assert len(caught.value.further) == MAX_REFUSALS
    assert last == "12 further parts of the file are refused"


def test_the_reference_run_is_the_load_that_it_was():
    """2,000 arrivals per second, at most 2,000,000, without pings.

    They come from 16 hosts of four processes.
    """
    imported = read_tsung(APPWRITE)
    plan = imported.plan

    assert (plan.rate, plan.max, plan.arrival, plan.hold) == (
        2000,
        2_000_000,
        "poisson",
        "sessions",
    )
    assert plan.session_specs == (
        Loop(name="websocket", weight=100.0, ping="none", think=30.0, loops=1000),
    )
    assert sum(client.workers for client in plan.clients) == 64
    assert imported.hosts == tuple(f"realtime-worker-{number}" for number in range(1, 17))
    assert plan.target.endswith(":9505/v1/realtime?project=console&channels[]=files")


def test_all_servers_are_replaced_by_another():
    here = "ws://127.0.0.1:9505"
    assert (
        read_tsung(APPWRITE, base=here).plan.target
        == f"{here}/v1/realtime?project=console&channels[]=files"
    )

    changing = read_tsung(CORPUS / "taken" / "change.xml", base=here).plan
    assert (changing.target, changing.targets) == (f"{here}/here", ())
    assert "two" not in str(changing)


def test_the_number_of_users_can_be_bounded():
    assert read_tsung(APPWRITE, most=500).plan.max == 500

    phases = read_tsung(CORPUS / "taken" / "users.xml", most=33).plan
    assert phases.total == 33


def test_standard_input_is_read_as_tsung_does(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(APPWRITE.read_bytes())))
    assert read_tsung(Path("-")).plan == read_tsung(APPWRITE).plan

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\n<html/>")))
    with pytest.raises(TsungError, match=r"^standard input:2: "):
        read_tsung(Path("-"))


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(TsungError, match="No such file or directory; give the path"):
        read_tsung(tmp_path / "nowhere.xml")


def test_no_hosts_are_named_when_all_are_this_machine():
    assert read_tsung(CORPUS / "taken" / "example.xml").hosts == ()
    assert read_tsung(CORPUS / "taken" / "clients.xml").hosts == ("one", "two", "three")


HUGE = {
    "a large file": b"<tsung>" + b" " * MAX_BYTES + b"</tsung>",
    "text of an entity, many times": b'<!DOCTYPE tsung [<!ENTITY a "%s">]><tsung>%s</tsung>'
    % (b"a" * 60_000, b"&a;" * 400),
    "attributes of an entity": b'<!DOCTYPE tsung [<!ENTITY a "%s">]><tsung a="%s"/>'
    % (b"a" * 60_000, b"&a;" * 400),
    "a long entity": b'<!DOCTYPE tsung [<!ENTITY a "%s">]><tsung/>' % (b"a" * 70_000),
    "elements without end": b"<tsung>" * 100,
    "an unknown encoding": b'<?xml version="1.0" encoding="klingon"?><tsung/>',
    "not XML at all": bytes(range(256)),
}


@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_a_document_beyond_the_limits_is_refused(data):
    with pytest.raises(TsungError, match=r"^f\.xml:\d+: "):
        read_document(data, "f.xml")


def test_a_document_keeps_the_lines_and_the_text_of_its_elements():
    root, notes = read_document(b"<a>\n <b c='d'>x &amp;\n<![CDATA[<y>]]></b>\n\n<b/></a>", "f.xml")

    assert [(child.line, child.name, child.text) for child in root.children] == [
        (2, "b", "x &\n<y>"),
        (5, "b", ""),
    ]
    root.children[0].note("something")
    assert notes == [Note(2, "something")]


@given(data=st.data())
def test_a_damaged_configuration_gives_a_plan_or_an_error_of_one_line(data, tmp_path_factory):
    source = data.draw(st.sampled_from(TAKEN)).read_bytes()
    at = data.draw(st.integers(0, len(source) - 1))
    cut = data.draw(st.integers(0, 12))
    piece = data.draw(
        st.sampled_from([b"", b"0", b"-1", b"%%_x%%", b"<", b">", b'"', b"\xff", b"&x;", b"1e400"])
        | st.binary(max_size=4)
    )
    path = tmp_path_factory.mktemp("tsung") / "damaged.xml"
    path.write_bytes(source[:at] + piece + source[at + cut :])
    (path.parent / "users.csv").write_text("ann;1\n")

    try:
        plan = read_tsung(path).plan
    except TsungError as error:
        text = str(error)
        assert re.match(rf"{re.escape(str(path))}:\d+: [^\n]+$", text)
    else:
        path.write_bytes(to_toml(plan))
        assert read_plan(path) == plan


phases = st.builds(
    Phase,
    rate=st.floats(0.1, 100),
    duration=st.floats(1, 100),
    max=st.none() | st.integers(1, 10_000),
) | st.builds(Phase, duration=st.floats(1, 100))  # fmt: skip


@given(st.lists(phases, max_size=5), st.lists(st.floats(0, 600), max_size=5))
def test_single_users_arrive_at_their_times_and_all_others_arrive_too(others, times):
    single = Phase(rate=1000.0, max=1)
    found = with_singles(others, [(at, single) for at in sorted(times)])

    assert sum(phase.arrivals for phase in found) == sum(phase.arrivals for phase in others) + len(
        times
    )
    begins, now = [], 0.0
    for phase in found:
        begins += [now] * (phase is single)
        now += 0.0 if phase is single else phase.length
    assert begins == pytest.approx(sorted(times))


@given(st.lists(phases, min_size=1, max_size=5), st.integers(1, 20_000))
def test_no_more_users_arrive_than_the_bound(several, most):
    assert sum(phase.arrivals for phase in at_most(several, most)) == min(
        most, sum(phase.arrivals for phase in several)
    )
