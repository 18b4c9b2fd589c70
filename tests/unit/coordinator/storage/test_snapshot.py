"""The state of a run as bytes: what is in it, and what is not called to read it."""

import os
import pickle
import re

import pytest

from coordinator.run.run import Run
from coordinator.storage.snapshot import RunSnapshot, freeze
from loadgen.errors import OperatorError
from loadgen.plan.credentials import Credentials
from loadgen.plan.plan import Plan
from tests.unit.coordinator.fleet import opened, posted, seconds, started

PLAN = Plan(max=999, rate=100.0)


def test_a_restored_run_goes_on_as_the_first_one_does():
    run = Run(PLAN, 2, key="k")
    a, b = started(run, ["a", "b"])
    posted(run, a, seconds(opened(0, 20)), run.start + 1.0)
    again = Run(PLAN, 2, key="k")

    assert RunSnapshot.of(freeze(run, {"a": 1}), {}, {}).restore(again) == {"a": 1}

    assert again.plan is PLAN
    for one in (run, again):
        posted(one, b, seconds(opened(0, 30)), run.start + 1.1)
        assert [entry.row.fleet.ledger.opened for entry in one.tick(run.start + 1.2)] == [50]
    assert (again.total, again.ledger, again.state) == (run.total, run.ledger, run.state)


def test_keys_of_clients_are_not_in_it():
    run = Run(PLAN, 2, credentials=Credentials(ca="who is trusted"))
    again = Run(PLAN, 2, credentials=Credentials(ca="read anew"))

    state = freeze(run, None)
    RunSnapshot.of(state, {}, {}).restore(again)

    assert b"who is trusted" not in state
    assert again.credentials.ca == "read anew"
    assert again._gathering._credentials.ca == "read anew"


class Program:
    """Runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (pickle.dumps((Program(), None)), "posix.system"),
        (b"cloadgen.plan.shares\nrun_that_fits\n.", "loadgen.plan.shares.run_that_fits"),
        (b"cloadgen.process\nPath\n.", "loadgen.process.Path"),
        (pickle.PROTO + b"\x04cloadgen.plan.plan\nmsgspec.Struct\n.", "msgspec.Struct"),
        (b"ccoordinator.run.run\nSchedule\n.", "damaged"),
    ],
)
def test_a_state_is_no_program(data, found):
    snapshot = RunSnapshot.of(data, {}, {})

    with pytest.raises(OperatorError, match=re.escape(found)):
        snapshot.restore(Run(PLAN, 2))
