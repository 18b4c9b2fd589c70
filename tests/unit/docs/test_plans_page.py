"""docs/plans.md: its examples are plans, and it names every key and every step."""

import re
import shutil
from pathlib import Path

import msgspec
import pytest

from coordinator.dryrun import describe_plan
from loadgen.plan.clients import AgentSpec
from loadgen.plan.compress import Compress
from loadgen.plan.feeder import Feeder
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan, Target
from loadgen.plan.publish import Publish
from loadgen.plan.reply import AutoReply
from loadgen.plan.script import Condition, Extract, Match, ReplyCheck, Step
from loadgen.plan.sessions import Loop, PythonSession, Script
from loadgen.plan.setup import SetupSpec
from loadgen.plan.transport import Transport
from loadgen.planfile import read_plan, to_toml

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "plans.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
STEPS = [step.cls for step in msgspec.inspect.type_info(Step).types]
VALUES = (
    Plan,
    Phase,
    Loop,
    PythonSession,
    Script,
    Target,
    AgentSpec,
    Transport,
    Compress,
    Publish,
    Feeder,
    SetupSpec,
    AutoReply,
    Condition,
    Extract,
    Match,
    ReplyCheck,
    *STEPS,
)


@pytest.fixture
def read(tmp_path):
    """Returns a function that reads an example as a plan file.

    The file is beside the page's sessions.
    """
    shutil.copytree(DOCS / "sessions", tmp_path / "sessions")

    def plan_of(text: str) -> Plan:
        path = tmp_path / "plan.toml"
        path.write_text(text)
        return read_plan(path)

    return plan_of


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_plan_and_reads_back_the_same_when_written(read, example):
    plan = read(example)

    assert read(to_toml(plan).decode()) == plan
    assert "".join(describe_plan(plan))


def test_the_examples_are_what_the_page_says(read):
    reference, ramp, mix, script, publications, feeder, params, *more = map(read, EXAMPLES)
    whole, binary, replies = more

    assert (reference.total, reference.ping, reference.arrival) == (2_000_000, "none", "poisson")
    assert [phase.arrivals for phase in ramp.phases] == [153_000, 0, 0, 30_000]
    assert (mix.total, mix.hold, mix.stop_after, mix.clients[0].weight) == (
        160_000,
        "sessions",
        7200.0,
        4.0,
    )
    assert (script.total, script.schedule.gates, script.phases[2].keep) == (6000, 2, True)
    assert (publications.max, publications.publish.rate) == (50_000, 5.0)
    assert feeder.feeders[0].columns == ("id", "name", "token")
    assert feeder.feeders[0].count == feeder.total == 4
    assert (whole.setup.function, whole.setup.teardown) == ("setup", "teardown")
    assert (len(whole.expect), whole.abort_on) == (3, ("failed>5%:for 10s",))
    assert (params.target[-4:], params.params) == ("demo", {"project": "demo", "turns": 5})
    assert [len(session.reply) for session in replies.sessions] == [1, 2]
    assert binary.sessions[0].steps[1].until == "^20"


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_the_page_has_every_key(value):
    keys = [field.encode_name for field in msgspec.structs.fields(value)]

    assert [key for key in keys if f"`{key}`" not in PAGE] == []


def test_the_page_has_every_step():
    names = [step.__struct_config__.tag for step in STEPS]

    assert [name for name in names if f"`{name}`" not in PAGE] == []
