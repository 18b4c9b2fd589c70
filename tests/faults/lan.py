"""A network of hosts that exist for the run alone: namespaces, two bridges, and links that can be
cut.

Every host has a link to the `load` network, where the target is, and one to the `control` network,
where the coordinator is. All of it is inside namespaces of the run's own (user, network, mount):
nothing of the machine changes, no privilege is needed where user namespaces are allowed, and no
packet can leave. The addresses are those of RFC 2544.
"""

import os
import subprocess
import sys

INSIDE = "LOADGEN_FAULTS_INSIDE"
"""Set in the environment of whoever is inside already."""
_USER = ["--user", "--map-root-user"]
_SPACES = ["--net", "--mount", "sh", "-c"]
_SCRIPT = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && exec "$@"'
NETWORKS = {"load": "198.18.0", "control": "198.18.1"}


def enter(module: str, *, as_root: bool = False) -> None:
    """Starts this very command line again inside; where that can't be, ends with a line that says
    why.

    As root, where a host is to have users, control groups and the like, it goes without a user
    namespace.
    """
    if INSIDE in os.environ:
        return
    inside = ["unshare", *([] if as_root else _USER), *_SPACES, _SCRIPT, "sh"]
    try:
        subprocess.run(
            [*inside, "ip", "netns", "add", "try"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        why = getattr(error, "stderr", None) or error
        sys.exit(
            f"{module.rpartition('.')[2]}: no network of its own can be made here"
            f" ({str(why).strip()})"
        )
    os.environ[INSIDE] = "1"
    os.execvp(inside[0], [*inside, sys.executable, "-m", module, *sys.argv[1:]])


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=10)


class Host:
    """One host: `at` runs a command on it."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self._number = number
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        for network, prefix in NETWORKS.items():
            _ip(
                "link",
                "add",
                self._port(network),
                "type",
                "veth",
                "peer",
                "name",
                network,
                "netns",
                name,
            )
            _ip("link", "set", self._port(network), "master", network, "up")
            _ip("-n", name, "addr", "add", f"{prefix}.{number}/24", "dev", network)
            _ip("-n", name, "link", "set", network, "up")

    def _port(self, network: str) -> str:
        return f"{self.name}-{network}"

    def address(self, network: str) -> str:
        """Its address on a network."""
        return f"{NETWORKS[network]}.{self._number}"

    def at(self, command: list[str]) -> list[str]:
        """The command line that runs a command on this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def cut(self, network: str) -> None:
        """Cuts its link to a network: packets vanish, nobody is told."""
        _ip("link", "set", self._port(network), "down")

    def fix(self, network: str) -> None:
        """Joins the link again."""
        _ip("link", "set", self._port(network), "up")

    def remove(self) -> None:
        """Takes the host away, and its links with it."""
        _ip("netns", "del", self.name)


class Lan:
    """The two networks, and hosts on demand."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        for network, prefix in NETWORKS.items():
            _ip("link", "add", network, "type", "bridge")
            _ip("link", "set", network, "up")
            _ip("addr", "add", f"{prefix}.1/24", "dev", network)

    def host(self, name: str) -> Host:
        """The host of this name."""
        if name not in self.hosts:
            self.hosts[name] = Host(name, len(self.hosts) + 2)
        return self.hosts[name]

    def remove(self) -> None:
        """Takes all of it away."""
        for host in self.hosts.values():
            host.remove()
        for network in NETWORKS:
            _ip("link", "del", network)
