"""A small rehearsal makes bare machines a fleet, and bare machines again.

The playbooks run a plan on it, and leave all of it as it was. The machines have no way out of their
network, so that nothing can come from a registry.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.debian import LOCK
from tests.machines import left_groups
from tests.processes import Command
from tests.rehearsal.__main__ import NOTHING_IS_LEFT, prepare, why_not
from tests.rehearsal.steps import STEPS

ROOT = Path(__file__).parents[2]
BOUND = Path("/proc/sys/fs/file-max")


def line(**options: object) -> list[str]:
    """The command line of a rehearsal."""
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", "tests.rehearsal", *words]


@pytest.fixture
def environment(tmp_path) -> Iterator[dict[str, str]]:
    """A place for temporary files, of which none may be left.

    This machine's own settings stay as they are.
    """
    if why := why_not():
        pytest.skip(why)
    prepare()
    before = BOUND.read_text(), links()
    yield os.environ | {"TMPDIR": str(tmp_path)}
    assert {path.name for path in tmp_path.iterdir()} <= {LOCK}
    assert (BOUND.read_text(), links()) == before


def links() -> str:
    """This machine's network interfaces."""
    done = subprocess.run(
        ["ip", "-o", "link"], capture_output=True, text=True, timeout=10, check=True
    )
    return "\n".join(row.split(":")[1] for row in done.stdout.splitlines())


@pytest.mark.timeout(500)  # the first time it installs Debian's packages
def test_bare_machines_become_a_fleet_that_runs_a_plan_and_are_bare_again(environment):
    small = line(agents=2, connections=300, rate=100, think=3, hold=15)
    done = subprocess.run(
        small, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=450, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    held = re.findall(r"^│ (\S.*?) +│.*│ yes +│$", done.stdout, re.MULTILINE)
    assert held == [*STEPS, NOTHING_IS_LEFT]


@pytest.mark.timeout(300)  # the first time it installs Debian's packages
def test_one_that_is_stopped_midway_leaves_nothing_either(environment):
    with closing(Command(line(agents=1), cwd=ROOT, env=environment)) as rehearsal:
        rehearsal.says("machines: 3 up")
        rehearsal.send(signal.SIGTERM)
        assert rehearsal.end() == 143, rehearsal.err
        assert left_groups(rehearsal.pid) == []
