"""The facts of this machine, read once from /proc and /sys, also as JSON values."""

import os
import platform
import resource
from collections.abc import Iterable, Iterator
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from loadgen.machine.addresses import parse_reserved
from loadgen.version import VERSION

UNBOUNDED = 1 << 60
"""The smallest number that means "no bound": systemd sets fs.file-max to 2^63 - 1, cgroup v1 its
limit to nearly that."""
UNLIMITED_FILES = 1 << 20
"""The number for "unlimited" open files: the kernel's default of fs.nr_open."""
_CAP_NET_BIND_SERVICE = 1 << 10
_FIRST_PIDS = "pid:[4026531836]"
"""The first namespace of process ids (PROC_PID_INIT_INO of the kernel's proc_ns.h); a container
has another."""
_CONTAINERS = {
    ".dockerenv": "docker",
    "run/.containerenv": "podman",
    "var/run/secrets/kubernetes.io": "kubernetes",
}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one machine.

    A fact is None where this kernel does not have it or does not show it.

    A sysctl is encoded under its own name, with the value of /proc/sys. The kernel documents them
    at https://docs.kernel.org: networking/ip-sysctl, networking/nf_conntrack-sysctl,
    admin-guide/sysctl/fs and net.
    """

    kernel: str = "unknown"
    container: str = ""
    """The kind of container that this is; empty on a physical or virtual machine."""
    python: str = platform.python_version()
    cpu: str = "unknown"
    """The model of its CPU."""
    cpus: int = 1
    """The CPUs that this process may run on, at most its cgroup's quota."""
    page: int = 4096
    """Bytes per page, the unit of tcp_mem."""
    memory_available: int | None = None
    """MemAvailable, in bytes."""
    cgroup_headroom: int | None = None
    """Bytes until the tightest memory limit of the cgroups around this process; None without a
    limit."""
    nofile_soft: int = 1024
    nofile_hard: int = 4096
    """RLIMIT_NOFILE of this process; the defaults are the kernel's."""
    privileged: bool = False
    """True when it may bind ports under ip_unprivileged_port_start."""
    tcp_pages: int = 0
    """Pages of socket buffers in use (/proc/net/sockstat)."""
    boot: str = msgspec.field(default="", name="kernel.random.boot_id")
    """Tells this kernel from any other, also from the one after a reboot; several agents may have
    it."""
    nr_open: int | None = msgspec.field(default=None, name="fs.nr_open")
    file_max: int | None = msgspec.field(default=None, name="fs.file-max")
    file_nr: tuple[int, int, int] | None = msgspec.field(default=None, name="fs.file-nr")
    """Files open now, a zero, fs.file-max."""
    somaxconn: int | None = msgspec.field(default=None, name="net.core.somaxconn")
    local_range: tuple[int, int] | None = msgspec.field(
        default=None, name="net.ipv4.ip_local_port_range"
    )
    reserved_ports: str = msgspec.field(default="", name="net.ipv4.ip_local_reserved_ports")
    unprivileged_start: int | None = msgspec.field(
        default=None, name="net.ipv4.ip_unprivileged_port_start"
    )
    packet_backlog: int | None = msgspec.field(default=None, name="net.core.netdev_max_backlog")
    """Packets that may wait for a core when they are handed to it: on loopback, veth, and with
    RPS."""
    ehash_entries: int | None = msgspec.field(default=None, name="net.ipv4.tcp_ehash_entries")
    """Chains of the table in which the kernel finds a packet's socket; negative where the table is
    that of another namespace."""
    syn_backlog: int | None = msgspec.field(default=None, name="net.ipv4.tcp_max_syn_backlog")
    tcp_mem: tuple[int, int, int] | None = msgspec.field(default=None, name="net.ipv4.tcp_mem")
    """Pages: no pressure below the first, pressure from the second, no more than the third."""
    tcp_rmem: tuple[int, int, int] | None = msgspec.field(default=None, name="net.ipv4.tcp_rmem")
    tcp_wmem: tuple[int, int, int] | None = msgspec.field(default=None, name="net.ipv4.tcp_wmem")
    tcp_tw_reuse: int | None = msgspec.field(default=None, name="net.ipv4.tcp_tw_reuse")
    conntrack_max: int | None = msgspec.field(default=None, name="net.netfilter.nf_conntrack_max")
    conntrack_count: int | None = msgspec.field(
        default=None, name="net.netfilter.nf_conntrack_count"
    )

    @property
    def memory_room(self) -> int | None:
        """The bytes that this process and its children can take; None where unknown."""
        rooms = [room for room in (self.memory_available, self.cgroup_headroom) if room is not None]
        return min(rooms, default=None)


def read_machine(root: Path = Path("/")) -> Machine:
    """Returns the machine as this process sees it, from /proc and /sys below root.

    What is missing there is None in the result; it raises nothing for that.
    """
    status = _fields(root / "proc/self/status")
    soft, hard = _nofile(root)
    return Machine(
        kernel=_text(root / "proc/sys/kernel/osrelease") or Machine().kernel,
        container=_container(root),
        cpu=_fields(root / "proc/cpuinfo").get("model name") or Machine().cpu,
        cpus=_cpus(root, status),
        page=resource.getpagesize(),
        memory_available=_kib(_fields(root / "proc/meminfo").get("MemAvailable")),
        cgroup_headroom=_cgroup_headroom(root),
        nofile_soft=soft,
        nofile_hard=hard,
        privileged=bool(int(status.get("CapEff", "0"), 16) & _CAP_NET_BIND_SERVICE),
        tcp_pages=_tcp_pages(root),
        **_sysctls(root),
    )


def facts(machine: Machine) -> dict[str, Any]:
    """Returns versions, facts and sysctls as JSON values for run.json."""
    import uvloop  # noqa: PLC0415 -- loadgen-tune has no event loop

    readings: dict[str, Any] = msgspec.to_builtins(machine)
    return {"loadgen": VERSION, "uvloop": uvloop.__version__, **readings}  # type: ignore[attr-defined]  # it is there


def _sysctls(root: Path) -> dict[str, Any]:
    """Returns every sysctl of a Machine, by its field."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(Machine):
        if "." in field.encode_name:
            text = _text(root / "proc/sys" / field.encode_name.replace(".", "/"))
            words = text.split()
            try:
                found[field.name] = msgspec.convert(
                    words if len(words) > 1 else text, field.type, strict=False
                )
            except msgspec.ValidationError:  # no such file, or a text that no known kernel writes
                continue
    return found


def _nofile(root: Path) -> tuple[int, int]:
    for line in _text(root / "proc/self/limits").splitlines():
        if line.startswith("Max open files"):
            soft, hard = (
                int(word) if word.isdecimal() else UNLIMITED_FILES for word in line.split()[3:5]
            )
            return soft, hard
    return Machine().nofile_soft, Machine().nofile_hard


def _tcp_pages(root: Path) -> int:
    words = _fields(root / "proc/net/sockstat").get("TCP", "").split()
    return int(words[words.index("mem") + 1]) if "mem" in words else 0


def _container(root: Path) -> str:
    """Returns the kind of container around this process, "" without one.

    Subtle: an image that was made for containers has the files of one on a virtual machine too. So
    the namespace of process ids decides whether this is a container, the files only its kind.
    """
    try:
        own = os.readlink(root / "proc/self/ns/pid")
    except OSError:
        return ""
    if own == _FIRST_PIDS:
        return ""
    return next((name for mark, name in _CONTAINERS.items() if (root / mark).exists()), "unnamed")


def _cpus(root: Path, status: dict[str, str]) -> int:
    allowed = status.get("Cpus_allowed_list", "")
    # A list of CPUs has the form of a list of ports.
    mine = len(parse_reserved(allowed)) or os.cpu_count() or 1
    quotas = [
        quota for folder in _cgroups(root, "cpu") if (quota := _cpu_quota(folder)) is not None
    ]
    return max(1, min([mine, *map(ceil, quotas)]))


def _cpu_quota(folder: Path) -> float | None:
    """Returns the cores that a cgroup may use, None without a quota.

    https://docs.kernel.org/admin-guide/cgroup-v2.html, cpu.max
    """
    words = _text(folder / "cpu.max").split()
    words = words or [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
    quota, period = (int(word) if word.isdecimal() else 0 for word in words)
    return quota / period if quota and period else None


def _cgroup_headroom(root: Path) -> int | None:
    rooms = [
        room for folder in _cgroups(root, "memory") if (room := _memory_room(folder)) is not None
    ]
    return min(rooms, default=None)


def _memory_room(folder: Path) -> int | None:
    """Returns the bytes until a cgroup's limit, None without a limit.

    Its inactive page cache counts as free, since the kernel reclaims that first.
    """
    limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
    if not limit.isdecimal() or int(limit) >= UNBOUNDED:
        return None
    used = _text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes")
    stat = dict(line.split()[:2] for line in _text(folder / "memory.stat").splitlines())
    cache = stat.get("total_inactive_file") or stat.get("inactive_file") or "0"
    return max(0, int(limit) - int(used or 0) + int(cache))


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yields the folders of the cgroups around this process, innermost first.

    They are those of both versions.

    Some may not exist: in a container the path may be the host's while only a part of it is
    mounted. So the top of the mount is always among them.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            for mount in (controller,) if controllers else ("", "unified"):
                yield from (root / "sys/fs/cgroup" / mount / inner for inner in _upwards(path))


def _upwards(path: str) -> Iterable[str]:
    pure = PurePosixPath(path)
    return (str(step).lstrip("/") for step in (pure, *pure.parents))


def _fields(path: Path) -> dict[str, str]:
    """Returns the `name: value` lines of a file."""
    pairs = (line.partition(":") for line in _text(path).splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _kib(text: str | None) -> int | None:
    """Returns the bytes of a text like `24382280 kB`."""
    return int(text.split()[0]) * 1024 if text else None


def _text(path: Path) -> str:
    """Returns the text of a file, "" when it is missing or may not be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
