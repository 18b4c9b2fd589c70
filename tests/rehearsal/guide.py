"""Types the commands of docs/operate.md.

The command is `python -m tests.rehearsal.guide FOLDER`. It keeps what each command prints. The
machines are those of a rehearsal, the commands run in a terminal, in a copy of the checkout.
Without a provider of machines, it omits Terraform's two commands; the inventory has the form in
which Terraform writes it.
"""

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import yaml

from loadgen.cli.options import run_command
from tests.faults.lan import INSIDE, NETWORKS, Lan, enter
from tests.processes import BIN, PATIENCE, eventually, get_json
from tests.rehearsal.__main__ import prepare
from tests.rehearsal.fleet import Fleet
from tests.rehearsal.size import Size

ROOT = Path(__file__).parents[2]
PASSWORD = "a password of this rehearsal"
FLEET = "-i inventory/fleet.yml"
VAULT = """openssl rand -hex 24 | tr -d '\\n' |
  ansible-vault encrypt_string --stdin-name vault_loadgen_token > group_vars/all/vault.yml"""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--agents",
    type=click.IntRange(1, 100),
    default=16,
    show_default=True,
    help="Client machines.",
)
@click.option(
    "--connections",
    type=int,
    default=20_000,
    show_default=True,
    help="Connections of all machines.",
)
def command(folder: Path, agents: int, connections: int) -> int:
    """Type the commands of docs/operate.md.

    FOLDER gets a file with the output of each.
    """
    if INSIDE not in os.environ:
        prepare()
    enter("tests.rehearsal.guide", as_root=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lan = Lan()
    with tempfile.TemporaryDirectory(prefix="loadgen-rehearsal-") as name:
        fleet = Fleet(lan, Size(agents, connections), Path(name))
        try:
            fleet.start()
            folder.mkdir(parents=True, exist_ok=True)
            follow(fleet, Operator(fleet, folder))
        finally:
            fleet.close()
            lan.remove()
    return 0


def follow(fleet: Fleet, operator: "Operator") -> None:
    """Types the guide's commands from the third to the eighth.

    Before and during the run it also types commands that show the fleet.
    """
    worker = f"ssh root@{fleet.address('a1', 'control')}"
    manager = f"ssh root@{fleet.address('manager', 'control')}"
    operator.types("vault", VAULT)
    operator.types("site", f"ansible-playbook {FLEET} site.yml --ask-vault-pass")
    operator.types("site-again", f"ansible-playbook {FLEET} site.yml --ask-vault-pass")
    operator.types("verify", f"ansible-playbook {FLEET} verify.yml --ask-vault-pass")
    operator.types(
        "check", f"{worker} /opt/loadgen/bin/loadgen-tune check --connections {fleet.size.share}"
    )
    operator.types("status", f"{worker} systemctl status loadgen-agent")
    with ThreadPoolExecutor() as other_terminal:
        run = other_terminal.submit(
            operator.types, "run", f"ansible-playbook {FLEET} run.yml --ask-vault-pass"
        )
        eventually(lambda: _joined(fleet) == fleet.size.agents, "all have joined", 2 * PATIENCE)
        operator.types("sd", f"{manager} curl -s localhost:8091/v1/sd")
        eventually(
            lambda: fleet.target.stats()["open"] == fleet.size.connections,
            "all are open",
            2 * PATIENCE,
        )
        operator.types("status-run", f"{manager} systemctl status loadgen-coord")
        run.result()
    operator.types("journal", f"{manager} journalctl -u loadgen-coord")
    operator.types("tar", f"tar -xvf {operator.archive} -C runs")
    operator.types("teardown", f"ansible-playbook {FLEET} teardown.yml --ask-vault-pass")


def _joined(fleet: Fleet) -> int:
    with suppress(OSError):  # the coordinator does not listen yet
        return len(get_json(f"{fleet.coordinator}/v1/sd"))
    return 0


class Operator:
    """An operator at a terminal, in deploy/ansible of a checkout."""

    def __init__(self, fleet: Fleet, out: Path) -> None:
        self._out = out
        checkout = fleet.folder / "loadgen"
        words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in listed.splitlines():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
        shutil.copytree(ROOT / "build" / "wheelhouse", checkout / "build" / "wheelhouse")
        self._place = checkout / "deploy" / "ansible"
        (self._place / "inventory" / "fleet.yml").write_text(yaml.safe_dump(_inventory(fleet)))
        (self._place / "group_vars" / "all" / "rehearsal.yml").write_text(
            yaml.safe_dump(_variables(fleet.size))
        )
        self._environment = os.environ | {
            "HOME": str(fleet.folder),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": "/run/ssh",  # a socket's path must be short
        }
        _configure_ssh(fleet.folder)

    @property
    def archive(self) -> str:
        """The path of the run directory that run.yml fetched."""
        (found,) = (self._place / "runs").iterdir()
        return f"runs/{found.name}"

    def types(self, name: str, line: str) -> None:
        """Types a command, and the password at its prompt.

        Keeps the output of the terminal.
        """
        pid, terminal = pty.fork()
        if not pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
            os.chdir(self._place)
            os.execvpe("sh", ["sh", "-c", line], self._environment)
        shown = b""
        with suppress(OSError):  # the end of a terminal
            while some := os.read(terminal, 1 << 16):
                shown += some
                if some.lower().rstrip().endswith(b"password:"):
                    os.write(terminal, f"{PASSWORD}\n".encode())
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        text = shown.decode().replace("\r\n", "\n")
        (self._out / f"{name}.txt").write_text(f"$ {line}\n{text}\n[{code}]\n")
        assert code == 0, text
        click.echo(name)


def _configure_ssh(folder: Path) -> None:
    """Writes what an operator has in ~/.ssh.

    The directory is mounted for this rehearsal alone.
    """
    place = Path("/etc/ssh/ssh_config.d")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
    words = {
        "IdentityFile": folder / "key",
        "UserKnownHostsFile": folder / "known",
        "LogLevel": "ERROR",
    }
    words |= {"StrictHostKeyChecking": "accept-new"}
    (place / "rehearsal.conf").write_text(
        "".join(f"{key} {value}\n" for key, value in words.items())
    )


def _inventory(fleet: Fleet) -> dict[str, Any]:
    """Returns the inventory as Terraform writes it."""

    def host(name: str, network: str) -> dict[str, str]:
        return {
            "ansible_host": fleet.address(name, "control"),
            "private_address": fleet.address(name, network),
        }

    agents = {f"realtime-worker-{name[1:]}": host(name, "load") for name in fleet.size.names}
    groups = {
        "coordinator": {"manager": host("manager", "control")},
        "monitoring": {"manager": {}},
        "target": {"realtime": host("server", "load")},
        "agents": agents,
    }
    children = {group: {"hosts": hosts} for group, hosts in groups.items()}
    return {
        "all": {
            "vars": {"ansible_user": "root", "fleet_network": f"{NETWORKS['load']}.0/24"},
            "children": children,
        }
    }


def _variables(size: Size) -> dict[str, Any]:
    """Returns the differences from the reference run.

    They are its size, the embedded target and the limits.
    """
    return {
        "agent_max_connections": size.share,
        "coordinator_plan": {
            "target": "ws://{{ fleet_target }}:9505/v1/realtime?project=console&channels[]=files",
            "rate": size.rate,
            "max": size.connections,
            "think": size.think,
            "loops": 1000,
            "hold": size.hold,
        },
        "coordinator_environment": {"LOADGEN_COORD_EXPECT": f"open_peak>={size.connections}"},
        "target_tuning_connections": size.connections,
        "target_tuning_embedded": True,
        "target_tuning_environment": {
            "LOADGEN_TARGET_MODE": "appwrite",
            "LOADGEN_TARGET_LIMIT": size.connections,
        },
        "verify_open_files": 20000,
    }


if __name__ == "__main__":
    run_command(command, "guide")
