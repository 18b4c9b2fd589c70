"""<sessions>: what users do, and how many of them do which."""

from pathlib import Path

import pytest

from coordinator.tsung.load import read_load
from coordinator.tsung.options import Options
from coordinator.tsung.sessions import mixes, quiet, read_sessions, simplified, turns_of
from coordinator.tsung.steps import Steps
from loadgen.plan.script import Close, Connect, For, Ping, Send, Think
from loadgen.plan.sessions import Loop, Script
from tests.unit.coordinator.tsung.elements import read, refused

CONNECT = '<request><websocket type="connect" origin="http://a"/></request>'
PHASE = '<arrivalphase phase="1" duration="1"><users arrivalrate="1"/>{}</arrivalphase>'


def sessions(*inner: str):
    """Returns the sessions, each on a line of its own, and their notes by line."""
    root, notes = read("\n".join(["<sessions>", *inner, "</sessions>"]))
    found = read_sessions(root, Steps(Options(Path()), "/"), {})
    return found, [note.line for note in notes]


def session(inner: str = CONNECT, words: str = 'probability="100"', name: str = "a"):
    return f'<session name="{name}" type="ts_websocket" {words}>{inner}</session>'


def mixed(found, setups: str = ""):
    return mixes(found, read_load(read(f"<load>\n{PHASE.format(setups)}</load>")[0]).arrivals)


def test_a_session_whose_file_was_refused_is_not_judged():
    options = Options(Path())
    options.file_ids["file_server", "users"] = "users"  # and no text: it could not be read
    take = '<setdynvars sourcetype="file" fileid="users"><var name="a"/></setdynvars>'
    root, _ = read(f"<sessions>{session(take)}</sessions>")  # it never connects

    assert [one.name for one in read_sessions(root, Steps(options, "/"), {})] == ["a"]


def test_sessions_of_one_name_are_told_apart():
    found, _ = sessions(session(words='weight="1"'), session(words='weight="2"'))

    assert [(one.name, one.own_name, one.popularity) for one in found] == [
        ("a", "a", 1),
        ("a 2", "a", 2),
    ]


def test_what_makes_no_difference_is_noted():
    unset = '<request subst="true"><websocket type="message">%%_x%%</websocket></request>'

    assert sessions(session(words='weight="1" persistent="false"'))[1] == [2]
    assert sessions(session(words='weight="1" bidi="false"'))[1] == [2]
    assert sessions(session(CONNECT + unset))[1] == [2]


@pytest.mark.parametrize(
    "xml",
    [
        "<user/>",
        session().replace("ts_websocket", "ts_pgsql"),
        session('<request><http url="/"/></request>').replace("ts_websocket", "ts_http"),
        session().replace("ts_websocket", "ts_mqtt"),
        session(words=""),
        session(words='probability="100" weight="1"'),
        session(words='weight="-1"'),
        session(""),
        session(f"{CONNECT}<set_option name='rate_limit' value='1'/>"),
        session(CONNECT + '<thinktime value="%%_nowhere%%"/>'),
    ],
)
def test_what_is_no_session_is_refused_at_its_line(xml):
    assert refused(lambda: sessions(xml))[0] == 2


def test_there_is_at_least_one_session():
    assert refused(sessions)[0] == 1


def test_an_option_holds_for_connections_after_it():
    option = '<set_option name="connect_timeout" value="1000"/>'

    assert len(sessions(session(option + CONNECT))[0][0].steps) == 2


def test_each_phase_has_the_popularity_of_the_sessions_or_its_own():
    found, _ = sessions(
        session(words='weight="3"'),
        session(words='weight="0"', name="b"),
        session(words='weight="1"', name="c"),
    )

    assert mixed(found) == [{"a": 3, "c": 1}]
    assert mixed(found, '<session_setup name="?" weight="5"/>') == [{"a": 5, "b": 5, "c": 5}]
    assert mixed(found, '<session_setup name="nobody" weight="5"/>') == [{"a": 3, "c": 1}]


def test_probabilities_add_up_to_100():
    found, _ = sessions(
        session(words='probability="60"'), session(words='probability="39"', name="b")
    )

    assert "99" in refused(lambda: mixed(found))[1]
    assert refused(lambda: mixed(found, '<session_setup name="b" probability="39"/>'))[0] == 2
    assert mixed(found, '<session_setup name="b" probability="40"/>') == [{"a": 60, "b": 40}]


def test_weights_are_not_all_zero_and_not_mixed_with_probabilities():
    (nobody, (one,)) = sessions(session(words='weight="0"'))[0], sessions(session())[0]

    assert refused(lambda: mixed(nobody))[0] == 2
    assert refused(lambda: mixed([*nobody, one]))[0] == 2
    assert refused(lambda: mixed(nobody, '<session_setup name="a" probability="1"/>'))[0] == 2


def loop(**values) -> For:
    return For(**{"var": "i", "first": 1, "last": 3, "steps": (Think(seconds=2.0),)} | values)


@pytest.mark.parametrize(
    ("step", "turns"),
    [
        (loop(), 3),
        (loop(step=2), 2),
        (loop(step=5), 2),
        (loop(first=3), 1),
        (loop(first=4, step=0), 1),
        (loop(step=0), None),
        (loop(last="%%_n%%"), None),
    ],
)
def test_the_turns_of_a_loop_are_known_unless_variables_say_them(step, turns):
    assert turns_of(step) == turns


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ((), 0),
        ((Think(seconds=2.0), loop()), 8),
        ((loop(steps=(loop(),)),), 18),
        ((Think(seconds=2.0, random=True),), None),
        ((Think(seconds=2.0, upto=3.0),), None),
        ((Think(seconds="%%_t%%"),), None),
        ((loop(steps=(Ping(),)),), None),
        ((Send(text="x"),), None),
    ],
)
def test_steps_that_only_wait_take_a_known_time(steps, seconds):
    assert quiet(steps) == seconds


def script(*steps) -> Script:
    return Script(name="s", weight=2.0, read_rate=3.0, steps=steps)


@pytest.mark.parametrize(
    ("steps", "think", "loops"),
    [
        ((Connect(), loop(last=1000), Close()), 2, 1000),
        ((Connect(), Think(seconds=60.0)), 60, 1),
        ((Connect(), loop(steps=(Think(seconds=0.5),))), 0.5, 3),
    ],
)
def test_a_silent_script_is_the_built_in_loop(steps, think, loops):
    assert simplified(script(*steps)) == Loop(
        name="s", weight=2.0, read_rate=3.0, ping="none", think=think, loops=loops
    )


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (Connect(),),
        (Connect(path="/b"), Think(seconds=1.0)),
        (Connect(), loop(last="%%_n%%")),
        (Connect(), Send(text="x"), Think(seconds=1.0)),
    ],
)
def test_any_other_script_stays_one(steps):
    assert simplified(script(*steps)) == script(*steps)
