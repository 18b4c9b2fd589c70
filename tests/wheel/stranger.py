"""Commands as a stranger types them, outside of the checkout."""

import os
import subprocess
from pathlib import Path

from tests.processes import PATIENCE, Address, free_port

ROOT = Path(__file__).parents[2]
RUN = ["--local", "1", "--with-target", "--rate", "200", "--max", "100", "--hold", "1"]
LIVE = ["--think", "0.5", "--listen", "127.0.0.1:0", "--expect", "open_peak>=100", "--json"]


def run(*words, folder, **environment):
    """The standard output of a command that succeeds."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(python, *words, folder):
    """Installs packages from the registry that this machine is set up for."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    run(python, "-m", "pip", "install", "-q", "--no-compile", *words, folder=folder, **settings)


def small_run(*coordinator, folder):
    """The standard output of a run of 100 connections against a target of its own."""
    target = Address("127.0.0.1", free_port())
    return run(*coordinator, *RUN, *LIVE, target.ws, folder=folder)
