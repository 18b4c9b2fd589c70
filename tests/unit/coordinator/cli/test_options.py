"""The options of the command: each in one group, and in the order of the groups."""

import click

from coordinator.cli.coord import coord
from coordinator.cli.options import LOAD, VERDICT, with_options


def test_a_command_has_the_options_of_its_groups_in_order():
    @click.command
    @with_options(VERDICT, LOAD)
    def command(**_: object) -> None:
        """Does nothing."""

    names = [param.name for param in command.params]

    assert names[:3] == ["expect", "abort_on", "tsung_log"]
    assert names[3:6] == ["rate", "max", "arrival"]
    assert len(names) == len(VERDICT) + len(LOAD)


def test_no_two_options_of_the_coordinator_have_one_name():
    names = [name for param in coord.params for name in param.opts]

    assert len(set(names)) == len(names) > 40
