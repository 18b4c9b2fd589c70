"""The contents of a session as steps of a script."""

from pathlib import Path

import pytest

from coordinator.tsung.options import ClientCertificate, Options, ThinkDefault
from coordinator.tsung.steps import FOR_EVER, Steps
from loadgen.plan.script import (
    Abort,
    Change,
    Close,
    Condition,
    For,
    Foreach,
    HttpStep,
    If,
    Interaction,
    Meet,
    Option,
    Repeat,
    SetVars,
    Think,
    Transaction,
)
from tests.unit.coordinator.tsung.elements import read, refused

THINK = '<thinktime value="2"/>'
CHANGE = '<change_type new_type="ts_websocket" bidi="true" host="b" port="80" server_type="tcp"'
CERTIFICATE = '<set_option name="certificate"><certificate certfile="a.pem"/></set_option>'


def steps(inner: str, options: Options | None = None, base: str = ""):
    """Returns the steps of a session, and the notes that were made of them."""
    root, notes = read(f"<session>{inner}</session>")
    found = Steps(options or Options(Path()), "/live", base).read(root)
    return found, [note.text for note in notes]


def options(**values) -> Options:
    known = Options(Path())
    for name, value in values.items():
        setattr(known, name, value)
    return known


def test_a_think_time_of_wait_bidi_never_ends():
    found, notes = steps('<thinktime value="wait_bidi"/>')

    assert (found, len(notes)) == ((Think(seconds=FOR_EVER),), 1)


def test_a_change_without_bidi_and_one_that_loses_cookies_are_noted():
    assert len(steps(f"{CHANGE.replace('true', 'false')}/>")[1]) == 1
    http = CHANGE.replace("ts_websocket", "ts_http")
    found, notes = steps(f'{http}/><request><http url="/a"/></request>')
    assert [type(step) for step in found] == [Change, HttpStep]
    assert notes[0].startswith("cookies stay")
    assert steps(f'{http} restore="true"/>')[1] == []


def test_a_unique_id_goes_into_a_variable():
    found, _ = steps(
        '<setdynvars sourcetype="erlang" callback="ts_user_server:get_unique_id">'
        '<var name="a"/></setdynvars>'
    )

    assert found == (SetVars(names=("a",), source="value", value="%%_tsung_userid%%"),)
    noted = steps('<setdynvars sourcetype="value" value="%%_b%%"><var name="a"/></setdynvars>')[1]
    assert len(noted) == 1


def test_a_certificate_is_no_step_and_holds_for_the_session():
    root, _ = read(f"<session>{CERTIFICATE}{THINK}</session>")
    reader = Steps(Options(Path("/a")), "/")

    assert reader.read_session(root, "ts_websocket") == (Think(seconds=2.0),)
    assert reader.certificate == ClientCertificate("/a/a.pem", "")
    assert refused(lambda: steps(CERTIFICATE * 2))


def test_protocols_over_websocket_need_servers_for_it():
    known = Options(Path())
    before = Steps(known, "/").over_websocket
    known.over_websocket = True

    assert (before, Steps(known, "/").over_websocket) == (False, True)


def test_think_times_of_mqtt_hold_the_connection():
    root, _ = read(
        '<session><request><mqtt type="connect" client_id="a" keepalive="1"/></request>'
        f'{THINK}<thinktime min="5" max="9"/><thinktime value="5" random="true"/></session>'
    )
    found = Steps(Options(Path()), "/").read_session(root, "ts_mqtt")

    assert [type(step) for step in found[2:]] == [For, Think, Think]


def test_a_step_knows_the_element_that_it_comes_from():
    root, _ = read(f'<session>{THINK}\n<transaction name="t">\n{THINK}</transaction></session>')
    reader = Steps(Options(Path()), "/")
    first, second = reader.read(root)

    assert [reader.origin(step).line for step in (first, second, *second.steps)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("xml", "step"),
    [
        (THINK, Think(seconds=2.0)),
        ("<thinktime/>", Think(seconds=5.0)),
        ('<thinktime value="2" random="true"/>', Think(seconds=2.0, random=True)),
        ('<thinktime min="1" max="3"/>', Think(seconds=1.0, upto=3.0)),
        ('<thinktime value="%%_t%%"/>', Think(seconds="%%_t%%")),
        ('<thinktime value="wait_global"/>', Meet(users=100)),
        ('<request><websocket type="close"/></request>', Close()),
        (
            f'<transaction name="t">{THINK}</transaction>',
            Transaction(name="t", steps=(Think(seconds=2.0),)),
        ),
        ('<for var="i" from="1" to="3"/>', For(var="i", first=1, last=3, steps=())),
        (
            '<for var="i" from="%%_a%%" to="3" incr="0"/>',
            For(var="i", first="%%_a%%", last=3, step=0, steps=()),
        ),
        (
            f'<repeat name="r" max_repeat="3">{THINK}<while var="a" eq="b"/></repeat>',
            Repeat(
                name="r",
                most=3,
                condition=Condition(var="a", value="b"),
                steps=(Think(seconds=2.0),),
            ),
        ),
        (
            '<repeat name="r"><until var="a" gt="3"/></repeat>',
            Repeat(
                name="r", until=True, condition=Condition(var="a", op="gt", value="3"), steps=()
            ),
        ),
        ('<if var="a" neq="b"/>', If(condition=Condition(var="a", op="neq", value="b"), steps=())),
        (
            '<if var="a" lt="%%_b%%"/>',
            If(condition=Condition(var="a", op="lt", value="%%_b%%"), steps=()),
        ),
        (
            '<foreach name="v" in="l" exclude="x"/>',
            Foreach(var="v", values="l", exclude="x", steps=()),
        ),
        (
            f'{CHANGE} store="true"/>',
            Change(url="ws://b:80/live", store=True),
        ),
        ('<set_option name="rate_limit" value="2"/>', Option(name="read_rate", value=2048)),
        (
            '<set_option name="connect_timeout" value="500"/>',
            Option(name="connect_timeout", value=0.5),
        ),
        ("<abort/>", Abort()),
        ('<abort type="all"/>', Abort(all=True)),
    ],
)
def test_an_element_becomes_its_step(xml, step):
    assert steps(xml) == ((step,), [])


@pytest.mark.parametrize(
    ("attributes", "step"),
    [
        (
            'sourcetype="random_number" start="3" end="4"',
            {"source": "random_number", "start": 3, "end": 4},
        ),
        ('sourcetype="random_string" length="5"', {"source": "random_string", "length": 5}),
        ('sourcetype="urandom_string"', {"source": "urandom_string"}),
        ('sourcetype="value" value="x"', {"source": "value", "value": "x"}),
        ('sourcetype="server"', {"source": "server"}),
        (
            'sourcetype="jsonpath" from="b" jsonpath="c.d"',
            {"source": "jsonpath", "var": "b", "value": "c.d"},
        ),
        (
            'sourcetype="file" fileid="f" order="random"',
            {"source": "file", "file": "users", "order": "random"},
        ),
        (
            'sourcetype="file" fileid="f" delimiter=","',
            {"source": "file", "file": "users", "delimiter": ","},
        ),
        (
            'sourcetype="local_file" fileid="g"',
            {"source": "file", "file": "local g", "order": "random"},
        ),
    ],
)
def test_variables_are_set_from_their_source(attributes, step):
    known = options(file_ids={("file_server", "f"): "users", ("local_file_server", "g"): "local g"})
    found, _ = steps(f'<setdynvars {attributes}><var name="a"/></setdynvars>', known)

    assert found == (SetVars(names=("a",), **step),)


@pytest.mark.parametrize(
    ("default", "xml", "step"),
    [
        (ThinkDefault(random=True), "<thinktime/>", Think(seconds=5.0, random=True)),
        (ThinkDefault(random=True), '<thinktime value="2" random="false"/>', Think(seconds=2.0)),
        (ThinkDefault(range=(1.0, 2.0)), "<thinktime/>", Think(seconds=1.0, upto=2.0)),
        (ThinkDefault(seconds=9.0, override=True), THINK, Think(seconds=9.0)),
    ],
)
def test_a_think_time_has_the_default_of_the_options(default, xml, step):
    assert steps(xml, options(think=default))[0] == (step,)


def test_another_server_is_replaced_where_all_are():
    assert steps(f"{CHANGE}/>", base="ws://one:1")[0] == (Change(url="ws://one:1/live"),)


def test_what_is_left_out_or_timed_otherwise_is_noted():
    found, notes = steps('<foreach name="v" in="l" include="a" exclude="x"/>')
    assert (found[0].exclude, len(notes)) == ("", 1)

    for action in ("send", "receive"):
        found, notes = steps(f'<interaction action="{action}" id="i"/>')
        assert (found, len(notes)) == ((Interaction(id="i", action=action),), 1)


@pytest.mark.parametrize(
    "xml",
    [
        "<dance/>",
        '<thinktime value="%%f%%"/>',
        '<thinktime value="0"/>',
        '<thinktime min="3" max="3"/>',
        '<for var="i" from="1" to="3" incr="0"/>',
        '<for from="1" to="3"/>',
        '<for var="i" from="a" to="3"/>',
        '<repeat name="r"/>',
        '<if var="a"/>',
        '<if var="a" eq="1" neq="1"/>',
        '<if var="a" gt="x"/>',
        '<setdynvars sourcetype="value"/>',
        '<setdynvars sourcetype="value"><var name="a"/><x/></setdynvars>',
        '<setdynvars><var name="a"/></setdynvars>',
        '<setdynvars sourcetype="file" fileid="f"><var name="a"/></setdynvars>',
        '<setdynvars sourcetype="random_string" length="65537"><var name="a"/></setdynvars>',
        '<change_type new_type="ts_pgsql" host="b" port="80" server_type="tcp"/>',
        '<change_type new_type="ts_websocket" host="%%_b%%" port="80" server_type="tcp"/>',
        '<set_option name="certificate"/>',
        '<set_option name="certificate"><certificate certfile="%%_c%%"/></set_option>',
        f"<if var='a' eq='1'>{CERTIFICATE}</if>",
        '<setdynvars sourcetype="erlang" callback="a:b"><var name="a"/></setdynvars>',
        '<setdynvars sourcetype="erlang" callback="ts_user_server:get_id"><var name="a"/>'
        "</setdynvars>",
        '<interaction id="i" action="both"/>',
    ],
)
def test_what_is_no_step_is_refused_at_its_line(xml):
    assert refused(lambda: steps(f"{THINK}\n{xml}"))[0] == 2


@pytest.mark.parametrize("end", [f'<while var="a" eq="b"/>{THINK}', '<until var="a" eq="%%_b%%"/>'])
def test_a_loop_ends_with_its_condition(end):
    assert refused(lambda: steps(f'<repeat name="r">{end}</repeat>'))[0] == 1
