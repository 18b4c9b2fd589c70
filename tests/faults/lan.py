"""A network of hosts made of namespaces, two bridges, and links that can be cut.

Every host has a link to the `load` network, where the target is, and one to the `control` network,
where the coordinator is. All of it is inside new namespaces (user, network, mount): nothing of the
machine changes, no privilege is needed where user namespaces are allowed, and no packet can get
out. The addresses are those of RFC 2544.
"""

import os
import subprocess
import sys

INSIDE = "LOADGEN_FAULTS_INSIDE"
"""Set in the environment of a process that is inside the namespaces."""
_USER = ["--user", "--map-root-user"]
_SPACES = ["--net", "--mount", "sh", "-c"]
_SCRIPT = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && exec "$@"'
NOWHERE = "02:00:00:00:00:99"
"""An Ethernet address of no host."""
NETWORKS = {"load": "198.18.0", "control": "198.18.1"}


def enter(module: str, *, as_root: bool = False) -> None:
    """Starts this command line again inside new namespaces.

    It exits with a reason where that is impossible. With `as_root` it makes no user namespace, so
    that a host can have users and control groups.
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
        reason = getattr(error, "stderr", None) or error
        sys.exit(
            f"{module.rpartition('.')[2]}: no network of its own can be made here"
            f" ({str(reason).strip()})"
        )
    os.environ[INSIDE] = "1"
    os.execvp(inside[0], [*inside, sys.executable, "-m", module, *sys.argv[1:]])


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=10)


class Host:
    """One host of the network."""

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
        """Returns its address on a network."""
        return f"{NETWORKS[network]}.{self._number}"

    def at(self, command: list[str]) -> list[str]:
        """Returns the command line that runs a command on this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def cut(self, network: str) -> None:
        """Cuts its link to a network: packets are dropped silently."""
        _ip("link", "set", self._port(network), "down")

    def fix(self, network: str) -> None:
        """Restores its link to a network."""
        _ip("link", "set", self._port(network), "up")

    def misdirect(self, network: str, to: "Host") -> None:
        """Sends whatever is for another host to an Ethernet address that no host has."""
        address = [to.address(network), "dev", network]
        _ip("-n", self.name, "neigh", "replace", *address, "lladdr", NOWHERE, "nud", "permanent")

    def redirect(self, network: str, to: "Host") -> None:
        """Sends to another host again what is for it."""
        _ip("-n", self.name, "neigh", "del", to.address(network), "dev", network)

    def loses(self, network: str, percent: int) -> None:
        """Has its link to a network lose a part of what it sends; 0: nothing."""
        queue = ["nsenter", f"--net=/run/netns/{self.name}", "tc", "qdisc"]
        change = ["add", "dev", network, "root", "netem", "loss", f"{percent}%"]
        end = ["del", "dev", network, "root"]
        subprocess.run([*queue, *(change if percent else end)], check=True, timeout=10)

    def remove(self) -> None:
        """Removes the host and its links."""
        _ip("netns", "del", self.name)


class Lan:
    """The two networks, and their hosts."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        for network, prefix in NETWORKS.items():
            _ip("link", "add", network, "type", "bridge")
            _ip("link", "set", network, "up")
            _ip("addr", "add", f"{prefix}.1/24", "dev", network)

    def host(self, name: str) -> Host:
        """Returns the host of a name, which it makes at first."""
        if name not in self.hosts:
            self.hosts[name] = Host(name, len(self.hosts) + 2)
        return self.hosts[name]

    def remove(self) -> None:
        """Removes the hosts and the networks."""
        for host in self.hosts.values():
            host.remove()
        for network in NETWORKS:
            _ip("link", "del", network)
