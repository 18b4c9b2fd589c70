"""<mqtt> as messages of a script: the packets, digit by digit."""

from pathlib import Path

import pytest

from coordinator.tsung.mqtt import MqttRequests
from coordinator.tsung.options import Options
from loadgen.plan.script import Close, For, Send, SetVars, Think
from tests.unit.coordinator.tsung.elements import read, refused


def requests(*xml: str, subst: bool = False, shared=None):
    """Returns the steps of requests of one session, and the notes on them."""
    reader = MqttRequests(Options(Path()))
    steps, noted = [], []
    for one in xml:
        element, notes = read(one)
        steps += reader.read(element, shared or {}, subst=subst)
        noted += [note.text for note in notes]
    return steps, noted


def acked(digits: str, until: str, **fields) -> Send:
    return Send(hex=digits, ack=True, until=until, until_form="hex", **fields)


def string(text: str) -> str:
    return f"{len(text):04x}{text.encode().hex()}"


HEAD = string("MQIsdp")


def test_a_connect_says_who_is_there_and_what_is_left_behind():
    (step,), notes = requests(
        '<mqtt type="connect" client_id="me" username="u" password="p" will_topic="t"'
        ' will_msg="m" will_qos="1" will_retain="true" clean_start="false" keepalive="60"/>'
    )
    body = f"{HEAD}03ec003c{string('me')}{string('t')}{string('m')}{string('u')}{string('p')}"

    assert step == acked(f"10{len(body) // 2:02x}{body}", "^20")
    assert len(notes) == 1

    (step,), notes = requests('<mqtt type="connect" client_id="me" username="u" keepalive="0"/>')
    body = f"{HEAD}03820000{string('me')}{string('u')}"
    assert (step, notes) == (acked(f"10{len(body) // 2:02x}{body}", "^20"), [])


def test_a_client_without_an_id_draws_one():
    (draw, part, rest, send), _ = requests('<mqtt type="connect" keepalive="0"/>')

    assert draw == SetVars(names=("mqtt_client",), source="random_string", length=10)
    assert (part.value, part.prefix) == ("tsung-%%_mqtt_client%%", "u16")
    assert (rest.value, rest.prefix) == (f"{HEAD}03020000%%_mqtt_part_1%%", "varint")
    assert send == acked("10%%_mqtt_rest%%", "^20", subst=True)


def test_a_publication_is_acknowledged_at_qos_1():
    steps, _ = requests(
        '<mqtt type="publish" topic="t"> hi </mqtt>',
        '<mqtt type="publish" topic="t" qos="1" retained="true">hi</mqtt>',
        '<mqtt type="publish" topic="t" qos="1"/>',
    )

    assert steps == [
        Send(hex="3005" + string("t") + "6869"),
        acked("3307" + string("t") + "0001" + "6869", "^40"),
        acked("3205" + string("t") + "0002", "^40"),
    ]


def test_variables_are_measured_when_they_are_known():
    steps, _ = requests(
        '<mqtt type="publish" topic="r/%%_r%%">n %%ts_user_server:get_unique_id%%</mqtt>',
        subst=True,
    )

    assert steps == [
        SetVars(names=("mqtt_part_1",), source="hex", value="r/%%_r%%", prefix="u16"),
        SetVars(names=("mqtt_part_2",), source="hex", value="n %%_tsung_userid%%"),
        SetVars(
            names=("mqtt_rest",),
            source="bytes",
            value="%%_mqtt_part_1%%%%_mqtt_part_2%%",
            prefix="varint",
        ),
        Send(hex="30%%_mqtt_rest%%", subst=True),
    ]


def test_topics_are_subscribed_at_qos_0_and_left():
    steps, notes = requests(
        '<mqtt type="subscribe" topic="t" qos="1"/>',
        '<mqtt type="unsubscribe" topic="t"/>',
        '<mqtt type="disconnect"/>',
        shared={"subst": False},
    )

    assert steps == [
        acked("8206" + "0001" + string("t") + "00", "^90"),
        acked("a205" + "0002" + string("t"), "^b0"),
        Send(hex="e000"),
        Close(),
    ]
    assert len(notes) == 1
    assert requests('<mqtt type="subscribe" topic="t"/>')[1] == []


@pytest.mark.parametrize(
    ("keepalive", "seconds", "turns", "rest"),
    [(0, 30, 0, 30), (60, 30, 0, 30), (10, 30, 3, 0), (10, 35, 3, 5)],
)
def test_a_wait_sends_a_ping_each_keepalive(keepalive, seconds, turns, rest):
    steps, _ = requests(
        f'<mqtt type="connect" client_id="a" keepalive="{keepalive}"/>',
        f'<mqtt type="waitForMessages" timeout="{seconds}"/>',
    )
    ping = (Think(seconds=float(keepalive)), Send(hex="c000"))
    loop = [For(var="mqtt_ping", first=1, last=turns, steps=ping)] if turns else []

    assert steps[1:] == loop + ([Think(seconds=float(rest))] if rest else [])


@pytest.mark.parametrize(
    "xml",
    [
        '<mqtt type="dance"/>',
        '<mqtt type="publish" topic="t" qos="2"/>',
        '<mqtt type="publish" topic="t" stamped="true"/>',
        '<mqtt type="publish"/>',
        '<mqtt type="connect" keepalive="65536"/>',
        f'<mqtt type="publish" topic="{"t" * 65_536}"/>',
        '<mqtt type="waitForMessages" timeout="0"/>',
    ],
)
def test_what_is_no_request_is_refused(xml):
    assert refused(requests, xml)[0] == 1
