import tomllib
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loadgen.arrivals import Schedule, Share
from loadgen.errors import PlanError
from loadgen.phased import PhasedSchedule
from loadgen.phases import Phase
from loadgen.plan import Plan, plan_of, read_plan, to_toml
from loadgen.wire import from_wire, to_wire
from tests.unit.strategies import unhurried

positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
plans = st.builds(
    Plan,
    target=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    rate=positive,
    max=st.integers(1, 2**62),
    arrival=st.sampled_from(("uniform", "poisson")),
    seed=st.integers(-(2**63), 2**63 - 1),
    hold=st.floats(min_value=0, allow_infinity=False),
    think=positive,
    loops=st.integers(0, 2**62),
    ping=st.sampled_from(("protocol", "app", "none")),
)


@pytest.fixture
def plan_file(tmp_path):
    """Writes a plan file and gives its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "plan.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("plan") / "plan.toml"


@unhurried
@given(plan=plans)
def test_a_plan_written_as_toml_is_read_back_the_same(plan, path):
    path.write_bytes(to_toml(plan))

    assert read_plan(path) == plan


@unhurried
@given(plans)
def test_a_plan_survives_the_wire(plan):
    assert from_wire(to_wire(plan), Plan) == plan


def test_the_file_says_every_value_even_the_defaults():
    """A plan.toml reproduces its run with a later version, whose defaults may be others."""
    assert set(tomllib.loads(to_toml(Plan()).decode())) == set(Plan.__struct_fields__)


def test_the_defaults_are_the_reference_run(plan_file):
    plan = read_plan(plan_file(""))

    assert plan == Plan()
    assert (plan.rate, plan.max, plan.hold, plan.think, plan.loops) == (2000, 1_000_000, 60, 30, 1000)
    assert (plan.arrival, plan.ping) == ("uniform", "protocol")
    assert plan.target == "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files"


def test_whole_numbers_do_for_fractions(plan_file):
    assert read_plan(plan_file("rate = 500\nhold = 0\n")) == Plan(rate=500.0, hold=0.0)


WRONG = {
    "an unknown key": ("speed = 3", "speed"),
    "text for a number": ("rate = 'fast'", "rate"),
    "a fraction for a count": ("max = 1.5", "max"),
    "a number for text": ("target = 9505", "target"),
    "a truth value for a number": ("loops = true", "loops"),
    "a negative rate": ("rate = -1.0", "rate"),
    "a rate of zero": ("rate = 0", "rate"),
    "a rate that is no number": ("rate = nan", "rate"),
    "an infinite rate": ("rate = inf", "rate"),
    "no connections": ("max = 0", "max"),
    "a negative hold": ("hold = -0.5", "hold"),
    "an endless hold": ("hold = inf", "hold"),
    "a think time of zero": ("think = 0", "think"),
    "an endless think time": ("think = inf", "think"),
    "negative loops": ("loops = -1", "loops"),
    "an unknown arrival": ("arrival = 'bunched'", "arrival"),
    "an unknown ping": ("ping = 'pong'", "ping"),
    "a table for a value": ("[rate]\nper = 'second'", "rate"),
}


@pytest.mark.parametrize(("content", "key"), WRONG.values(), ids=WRONG)
def test_a_plan_that_cannot_be_run_is_a_plan_error_naming_file_and_key(plan_file, content, key):
    path = plan_file(content)
    with pytest.raises(PlanError) as caught:
        read_plan(path)

    assert str(path) in str(caught.value)
    assert key in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize("content", ["rate 2000", "rate = 1\nrate = 2", "[", b"target = '\xff'"])
def test_what_is_not_toml_is_a_plan_error_naming_the_file(plan_file, content):
    path = plan_file(content)
    with pytest.raises(PlanError) as caught:
        read_plan(path)

    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_a_plan_error(tmp_path):
    with pytest.raises(PlanError, match=r"nowhere\.toml: No such file"):
        read_plan(tmp_path / "nowhere.toml")


def test_a_plan_of_options():
    assert plan_of({"rate": 5, "max": 10, "ping": "none"}) == Plan(rate=5.0, max=10, ping="none")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rate": -1.0}, "--rate"),
        ({"hold": "long"}, "--hold"),
        ({"ping": "loud"}, "--ping"),
        ({"think": None}, "--think"),
        ({"speed": 1}, "speed"),
    ],
)
def test_a_wrong_option_is_named(options, named):
    with pytest.raises(PlanError) as caught:
        plan_of(options)

    assert named in str(caught.value)


def test_the_schedule_is_the_plans():
    assert Plan(rate=7.0, max=11, arrival="poisson", seed=3).schedule == Schedule(7.0, 11, poisson=True, seed=3)
    assert Plan(rate=7.0, max=11).schedule == Schedule(7.0, 11, poisson=False, seed=0)


def test_the_plateau_is_held_from_the_last_arrival_on():
    """1,000 connections at 100/s: the last one is due at 9.99 s."""
    assert Plan(rate=100.0, max=1000, hold=60.0).drain_at() == pytest.approx(69.99)
    assert Plan(max=1, hold=0.0).drain_at() == 0


def test_a_plan_with_phases_is_held_from_the_end_of_the_last_one_on():
    plan = Plan(phases=(Phase(rate=10, max=20), Phase(duration=5.0)), hold=60.0)

    assert plan.total == 20
    assert plan.schedule == PhasedSchedule(plan.phases)
    assert plan.drain_at() == 67.0


def test_nobody_knows_the_end_before_the_last_gate_has_opened():
    plan = Plan(phases=(Phase(rate=10, max=20, wait=True), Phase(rate=10, max=20)), hold=60.0)

    assert plan.drain_at() == inf
    assert plan.drain_at((100.0,)) == 162.0
    assert replace(plan, stop_after=50.0).drain_at() == 50.0


def test_a_run_may_last_as_long_as_its_sessions_but_not_longer_than_said():
    assert Plan(hold="sessions").drain_at() == inf
    assert Plan(hold="sessions", stop_after=90.0).drain_at() == 90.0
    assert Plan(rate=100.0, max=1000, stop_after=3600.0).drain_at() == pytest.approx(69.99)


def test_with_poisson_arrivals_too():
    plan = Plan(rate=100.0, max=1000, hold=60.0, arrival="poisson", seed=5)
    *_, (_, last) = plan.schedule.dues(Share())

    assert plan.drain_at() == last + 60
