"""The settings of a run."""

import msgspec
import pytest

from coordinator.cli.coord import coord
from coordinator.settings import RunSettings
from loadgen.plan.plan import Plan
from loadgen.values import Endpoint

SETTINGS = RunSettings(plan=Plan(), listen=Endpoint("127.0.0.1", 8091))


def test_settings_have_the_defaults_of_the_command_line():
    options = coord.make_context("loadgen-coord", []).params
    settings = msgspec.structs.asdict(SETTINGS)
    # The others follow from several options.
    same = settings.keys() & options.keys() - {"plan", "agents", "local"}

    assert {name: settings[name] for name in same} == {name: options[name] for name in same}
    assert {"wait", "on_loss", "out", "tsung_log", "watch"} <= same


def test_settings_do_not_change_during_a_run():
    with pytest.raises(AttributeError, match="immutable"):
        SETTINGS.agents = 2


def test_agents_elsewhere_are_awaited_where_not_all_are_local():
    assert SETTINGS.elsewhere
    assert msgspec.structs.replace(SETTINGS, agents=2, local=1).elsewhere
    assert not msgspec.structs.replace(SETTINGS, agents=2, local=2).elsewhere
