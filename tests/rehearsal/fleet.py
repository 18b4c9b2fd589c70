"""The machines of a rehearsal, with deploy/ansible played on them.

The machines have systemd and sshd. They are the hosts `a1`, `a2`… for the agents, `manager` for the
coordinator and Prometheus, and `server` for the target. Ansible runs at the other end of the two
bridges, as on an operator's own machine.
"""

import json
import os
import re
import resource
import subprocess
from pathlib import Path
from typing import Any

from tests.faults.lan import NETWORKS, Lan
from tests.machines import Machine
from tests.processes import BIN, PATIENCE, Address, Command
from tests.rehearsal.size import Size

PLAYBOOKS = Path(__file__).parents[2] / "deploy" / "ansible"
TOKEN = "a-secret-of-this-rehearsal"
SSHD = """
set -e
mkdir -p -m 700 /root/.ssh && echo "$KEY" > /root/.ssh/authorized_keys
printf 'UsePAM no\nUseDNS no\n' > /etc/ssh/sshd_config.d/rehearsal.conf
rm -f /root/.bashrc /root/.ssh/rc
ssh-keygen -A
rm /etc/systemd/system/ssh.service
systemctl daemon-reload && systemctl start ssh
"""
"""Allows root to log in by the key, without the shell settings of this machine's root."""
STATE = """
find /etc /opt /usr/local /var/lib -xdev -not -path '/var/lib/systemd/*' | sort
find /root -maxdepth 1 -not -path '/root/.ansible' | sort
systemctl list-unit-files --no-legend --no-pager
find /proc/sys/net -perm -200 -type f -exec grep -H '' {} + | sort
"""
"""Prints what a tear-down has to restore: names of files, units, and the settings of the machine's
network."""
RECAP = re.compile(r"^(\w+) +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0", re.MULTILINE)


class Fleet:
    """All machines of a rehearsal, reached by ssh; `close` ends their processes."""

    def __init__(self, lan: Lan, size: Size, folder: Path) -> None:
        self.size = size
        self.folder = folder
        self._lan = lan
        self.machines: dict[str, Machine] = {}
        self._runs: list[Command] = []
        self._key = folder / "key"
        done = subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key)], check=False
        )
        assert done.returncode == 0, "ssh-keygen made no key"
        (folder / "fleet.json").write_text(json.dumps(self._inventory()))  # YAML as well
        (folder / "variables.json").write_text(json.dumps(self._variables()))

    def start(self) -> None:
        """Starts one machine after another, each with sshd."""
        key = self._key.with_suffix(".pub").read_text()
        for name in (*self.size.names, "manager", "server"):
            self.machines[name] = machine = Machine(self.folder, self._lan.host(name))
            done = machine.run("sh", "-c", SSHD, KEY=key)
            assert done.returncode == 0, done.stdout + done.stderr

    # Addresses.

    def address(self, name: str, network: str) -> str:
        """Returns the address of a machine on a network."""
        return self._lan.host(name).address(network)

    @property
    def target(self) -> Address:
        """The address of the target."""
        return Address(self.address("server", "load"), 9505)

    @property
    def coordinator(self) -> str:
        """The URL of the coordinator."""
        return f"http://{self.address('manager', 'control')}:8091"

    @property
    def prometheus(self) -> str:
        """The address of Prometheus."""
        return f"{self.address('manager', 'control')}:9090"

    def _inventory(self) -> dict[str, Any]:
        """Returns an inventory with the groups of the example."""
        groups: dict[str, Any] = {
            group: {"hosts": {name: {"ansible_host": self.address(name, "control")}}}
            for group, name in {
                "coordinator": "manager",
                "monitoring": "manager",
                "target": "server",
            }.items()
        }
        agents = {name: self._host(name) for name in self.size.names}
        return {"all": {"children": groups | {"agents": {"hosts": agents}}}}

    def _host(self, name: str) -> dict[str, Any]:
        ports = self.size.ports(name)
        environment = {"LOADGEN_AGENT_PORTS": f"{ports.start}-{ports.stop - 1}"}
        return {"ansible_host": self.address(name, "control"), "agent_environment": environment}

    def _variables(self) -> dict[str, Any]:
        """Returns the variables that an operator would write into group_vars."""
        size = self.size
        return {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self._key),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.folder / 'known_hosts'}",
            "vault_loadgen_token": TOKEN,
            "fleet_coordinator": self.address("manager", "control"),
            "fleet_network": f"{NETWORKS['load']}.0/24",
            "agent_max_connections": size.share,
            "coordinator_plan": {
                "target": self.target.ws,
                "rate": size.rate,
                "max": size.connections,
                "think": size.think,
                "loops": 1000,
                "hold": size.hold,
                "transport": {"headers": {"X-Rehearsal": "yes"}},
            },
            "coordinator_environment": {
                "LOADGEN_COORD_EXPECT": f"open_peak>={size.connections} failed<=0"
            },
            "target_tuning_connections": size.connections,
            "target_tuning_embedded": True,
            "target_tuning_environment": {
                "LOADGEN_TARGET_MODE": "appwrite",
                "LOADGEN_TARGET_LIMIT": size.connections,
            },
            "monitoring_listen": self.prometheus,
            "verify_open_files": min(
                1 << 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            ),  # the limit of a machine
            "run_delay": 0.5,
            "run_out": str(self.folder / "runs"),
        }

    # Playbooks.

    def play(self, name: str, *options: str) -> dict[str, int]:
        """Plays a playbook, which must succeed; returns the number of changes by machine."""
        return self.ends(self.begin(name, *options))

    def begin(self, name: str, *options: str) -> Command:
        """Starts a playbook."""
        words = [
            "-i",
            self.folder / "fleet.json",
            "--extra-vars",
            f"@{self.folder / 'variables.json'}",
            name,
            *options,
        ]
        home = {
            "HOME": str(self.folder),
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        home |= {
            "ANSIBLE_SSH_CONTROL_PATH_DIR": "/run/ssh"
        }  # /run is ours alone; a socket's path must be short
        line = [str(BIN / "ansible-playbook"), *map(str, words)]
        self._runs.append(Command(line, cwd=PLAYBOOKS, env=os.environ | home))
        return self._runs[-1]

    def ends(self, playing: Command) -> dict[str, int]:
        """Waits until a playbook succeeds; returns the number of changes by machine."""
        code = playing.end(2 * PATIENCE * len(self.machines))
        output = playing.out + playing.err
        assert code == 0, output[output.find("fatal:") :][:2000] + self.journal()
        assert TOKEN not in output, "the secret is in Ansible's output"
        return {name: int(changed) for name, changed in RECAP.findall(output)}

    def journal(self) -> str:
        """Returns the units' last log lines on three machines.

        They are the manager, the server and the first client machine.
        """
        words = ("journalctl", "--no-pager", "-n", "15", "-u", "loadgen-*")
        return "".join(
            self.machines[name].run(*words).stdout for name in ("manager", "server", "a1")
        )

    def state(self, name: str) -> str:
        """Returns the state of a machine that a tear-down has to restore."""
        return self.machines[name].run("sh", "-c", STATE).stdout

    def close(self) -> None:
        """Ends all processes."""
        for running in self._runs:
            running.close()
        for machine in self.machines.values():
            machine.close()
