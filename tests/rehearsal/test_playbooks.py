"""The playbooks that the rehearsal runs, read by Ansible's linter."""

import os
import subprocess
from pathlib import Path

from tests.processes import BIN

FOLDER = Path(__file__).parents[2] / "deploy" / "ansible"


def test_the_linter_accepts_the_playbooks():
    done = subprocess.run(
        [str(BIN / "ansible-lint"), "--offline", "--nocolor", "--profile", "production"],
        cwd=FOLDER,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
