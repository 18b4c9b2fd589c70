"""The figures of a calibration, and the plans that come near them."""

import msgspec
import pytest

from coordinator.run.calibration import (
    Ability,
    Calibration,
    Calibrations,
    Figure,
    Member,
    fleet_of,
    measure,
    plan_for,
    table,
    too_close,
)
from coordinator.run.timeline import Timeline
from loadgen.machine.host import HostState
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.stats.delays import Delays
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import first_release

TARGET = "ws://127.0.0.1:1/v1/realtime?project=console&channels[]=files"
PLAN = plan_for(TARGET, 8000, 1)
"""Opens from 1 s to 7 s, messages to 13 s, rest to 15 s, pings to 25 s."""
A, B = Member("a", "Fast", 2, "3.12.1", "0.1.0"), Member("b", "Slow", 1, "3.12.1", "0.1.0")
CALIBRATED = Calibration(
    (A, B),
    "2026-11-28T19:30:00Z",
    TARGET,
    Ability(),
    {
        "a": Ability(Figure(2000.0), Figure(30_000.0, at_least=True), None, 800.0),
        "b": Ability(Figure(1000.0), Figure(30_000.0), Figure(9.0), 900.0, 2_000_000),
    },
)


def rows_of(seconds, names=("a",), missing=()):
    """Returns the rows of agents that report the same seconds."""
    timeline = Timeline(PLAN.total)
    for name in names:
        timeline.expect(name, PLAN.total)
    rows = []
    for second in seconds:
        whole = Second(second.number)
        for _ in names:
            whole.merge(second)
        gone = [*missing] if second.number == 3 else []
        parts = dict.fromkeys(names, second)
        rows.append(timeline.add(first_release(whole, parts, gone)).row)
    return rows


def calibrating(cpu=1.0, busy=(), opens=(1500, 2000, 2000, 500), stalls=()):
    """Yields the seconds of an agent; in each it uses `cpu` seconds of CPU."""
    opened = 0
    for number in range(25):
        tally, host = Tally(), HostState(busy=busy) if busy else None
        if 1 <= number <= len(opens):
            tally.launched = tally.opened = opens[number - 1]
        if 8 <= number < 13:
            tally.messages_received = 50_000
        if number >= 15:
            tally.launched = tally.opened = 40
            tally.pings = tally.pongs = 2000 * (number - 14)
        opened += tally.opened
        delays = Delays(stalls={0: 0.5}) if number in stalls else Delays()
        yield Second(
            number,
            tally,
            Held(0, opened),
            cpu_s=cpu * number,
            rss=1000 * opened + 50_000,
            delays=delays,
            host=host,
        )


def figures(memory=None, **options):
    rooms = {} if memory is None else {"a": memory}
    return measure(rows_of(calibrating(**options)), PLAN, {"a": 1}, rooms)["a"]


def test_the_plan_opens_receives_and_then_pings():
    assert [span.begin for span in PLAN.schedule.spans] == [0.0, 1.0, 7.0, 13.0, 15.0, 25.0]
    assert [span.planned for span in PLAN.schedule.spans] == [0, 8000, 0, 0, 533, 0]
    assert PLAN.drain_at() == 28.0
    assert PLAN.session_specs[1].ping == "protocol"
    assert plan_for(TARGET, 1, 1).total == 2, "one of each kind at least"


def test_figures_are_those_of_the_best_whole_seconds_of_a_busy_worker():
    assert figures() == Ability(Figure(2000.0), Figure(19_000.0), Figure(50_000.0), 1000.0)


def test_a_generator_with_time_left_can_do_more():
    idle = figures(cpu=0.5)

    assert (idle.opens, idle.messages) == (Figure(2000.0, True), Figure(50_000.0, True))
    assert figures(cpu=0.5, busy=(100, 97)).opens == Figure(2000.0)
    assert figures(cpu=0.5, busy=(100, 50)).opens == Figure(2000.0, True)


def test_opens_that_are_over_at_once_are_a_lower_bound():
    assert figures(opens=(8000,)).opens == Figure(4000.0, at_least=True)
    assert figures(opens=(5000, 3000)).opens == Figure(5000.0), "one second shows the most"


def test_pings_count_in_valid_seconds_and_stalls_after_them_are_the_limit():
    assert figures(cpu=0.5, stalls=(20, 21, 22, 23, 24)).pings == Figure(9000.0)
    assert figures(cpu=0.5).pings == Figure(19_000.0, at_least=True)
    assert figures(stalls=range(15, 25)).pings is None


def test_what_did_not_happen_is_unknown():
    plan = plan_for(TARGET, 8000, 1)

    assert measure([], plan, {"a": 1}, {"a": 1e9}) == {"a": Ability()}
    assert figures(opens=()) == Ability(None, Figure(19_000.0), Figure(50_000.0), None)


def test_memory_holds_connections_with_what_the_kernel_takes_for_them():
    """A worker takes 1,000 bytes for each, the kernel 5 KiB."""
    assert figures(memory=612_000_000.0).connections == 100_000
    assert figures().connections is None
    assert figures(memory=0.0).connections is None
    assert figures(memory=1e9, opens=()).connections is None


def test_an_agent_that_did_nothing_has_no_figure_beside_one_that_did():
    rows = rows_of(calibrating(opens=(500, 1000, 1000, 500)), names=("a", "b"))
    for row in rows:
        row.agents["b"].counts["opened"] = 0

    found = measure(rows, PLAN, {"a": 1, "b": 1}, {})
    assert (found["a"].opens, found["b"].opens) == (Figure(1000.0), None)


def test_a_second_that_an_agent_did_not_report_does_not_count():
    rows = rows_of(calibrating(), missing=["b"])

    assert measure(rows, PLAN, {"a": 1}, {})["a"].opens == Figure(1750.0)


def test_the_fleet_is_bounded_by_the_agent_that_is_slowest_for_its_part():
    equal = fleet_of(CALIBRATED.agents, {"a": 0.5, "b": 0.5})

    assert equal == Ability(Figure(2000.0), Figure(60_000.0, at_least=True), None, 900.0)
    assert fleet_of(CALIBRATED.agents, {"a": 0.8, "b": 0.2}).opens == Figure(2500.0)
    assert fleet_of({"a": Ability()}, {"a": 1.0}) == Ability()


def warned(**plan):
    return list(too_close(Plan(**plan), CALIBRATED, {"a": 0.5, "b": 0.5}))


def test_a_plan_within_four_fifths_is_silent_and_above_it_is_told():
    assert warned(rate=1600.0, max=1000) == []
    assert warned(rate=1740.0, max=1000) == [
        "the plan asks for 1,740 arrivals/s, this fleet was calibrated at 2,000/s on 2026-11-28:"
        " 87 %"
    ]
    assert warned(rate=100.0, max=60_000, think=1.0) == [
        "the plan asks for 60,000 pings/s, this fleet was calibrated at 60,000/s or more on"
        " 2026-11-28: 100 %"
    ]


def test_publications_are_compared_with_the_messages_of_the_fleet():
    agents = {name: Ability(messages=Figure(50_000.0)) for name in "ab"}
    calibrated = msgspec.structs.replace(CALIBRATED, agents=agents)
    plan = Plan(max=10_000, publish=Publish(rate=9.0))

    assert list(too_close(plan, calibrated, {"a": 0.5, "b": 0.5})) == [
        "the plan asks for 90,000 messages/s, this fleet was calibrated at 100,000/s on"
        " 2026-11-28: 90 %"
    ]


def test_connections_are_compared_with_the_memory_of_the_fleet():
    agents = {"a": Ability(connections=30_000.0), "b": Ability(connections=40_000.0)}
    calibrated = msgspec.structs.replace(CALIBRATED, agents=agents)
    parts = {"a": 0.5, "b": 0.5}

    assert fleet_of(agents, parts).connections == 60_000
    assert list(too_close(Plan(max=48_000), calibrated, parts)) == []
    (said,) = too_close(Plan(max=48_000, target="wss://a/"), calibrated, parts)
    assert said.startswith("the plan asks for 48,000 connections, this fleet has memory for 10,0")
    assert list(too_close(Plan(max=54_000), calibrated, parts)) == [
        "the plan asks for 54,000 connections, this fleet has memory for 60,000, as calibrated on"
        " 2026-11-28: 90 %"
    ]


def test_a_fleet_is_known_by_its_members_in_any_order_and_is_calibrated_once():
    kept = Calibrations().with_(CALIBRATED)
    newer = msgspec.structs.replace(CALIBRATED, at="2026-11-29T00:00:00Z")

    assert kept.of([B, A]) == CALIBRATED
    assert kept.of([A]) is None
    assert kept.with_(newer).fleets == (newer,)
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Calibrations) == kept


def test_a_member_is_known_by_the_facts_of_its_machine():
    machine = {"cpu": "Fast", "cpus": 2, "python": "3.12.1", "loadgen": "0.1.0", "page": 4096}

    assert Member.of("a", machine) == A
    assert Member.of("a", {"cpus": "two"}) == Member("a", "", 0, "", "")


def test_the_table_has_a_line_for_each_agent_and_the_fleet():
    assert table(CALIBRATED, {"a": 2, "b": 1}).splitlines() == [
        "agent  workers  opens/s   pings/s  messages/s  bytes/connection  memory for",
        "a            2    2,000  ≥ 30,000           –               800           –",
        "b            1    1,000    30,000           9               900   2,000,000",
        "fleet        3        –         –           –                 –           –",
    ]


def test_a_calibration_without_an_agent_of_its_fleet_is_refused():
    with pytest.raises(ValueError, match="each of the `members`"):
        msgspec.structs.replace(CALIBRATED, agents={"a": Ability()})


@pytest.mark.parametrize("rate", ["0", "-1", "1e400", '"x"'])
def test_a_rate_that_can_not_be_is_refused(rate):
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(f'{{"rate": {rate}}}', type=Figure)
