"""A machine made of namespaces, with systemd as its first process.

Its root is an overlay on `/`, so it has all software of this machine, and its changes end with it.
Its network is that of a host in a `Lan`, and it may change the settings of that network. Of the
settings of the whole kernel it has a copy, or may only read them. It follows
https://systemd.io/CONTAINER_INTERFACE, without a container manager.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.faults.lan import Host
from tests.processes import PATIENCE, Command, children, end_with_parent, eventually

NOT_STARTED = ("postgresql.service", "prometheus.service", "ssh.service", "cron.service")
"""Services of packages that may be installed here; a test that needs one starts its own."""
SCRIPT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$TOP"
mkdir "$TOP/upper" "$TOP/work" "$TOP/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$TOP/upper,workdir=$TOP/work" "$TOP/root"
cd "$TOP/root"
mount -t proc proc proc
mkdir ../fs && cp proc/sys/fs/nr_open proc/sys/fs/file-nr proc/sys/fs/file-max ../fs/
mount --bind proc/sys proc/sys && mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys && mount --bind ../fs proc/sys/fs
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs tmpfs "$folder"; done
mkdir dev/pts dev/shm && mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
for device in null zero full random urandom tty; do
  touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
for unit in $NOT_STARTED; do ln -sf /dev/null "etc/systemd/system/$unit"; done
echo "$NAME" > etc/hostname
ip link set lo up
mkdir ../root/.old && pivot_root . .old && umount -l /.old && rmdir /.old
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --unit=multi-user.target
"""


class Machine(Command):
    """A machine that has started.

    It ends when it is closed, or with its parent process.
    """

    def __init__(self, folder: Path, host: Host) -> None:
        self._group = _control_groups() / f"{_prefix(os.getpid())}{host.name}"
        self._group.mkdir()
        top = folder / host.name
        top.mkdir()
        enter = f'echo $$ > "{self._group}/cgroup.procs" && exec unshare "$@"'
        spaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"]
        line = ["sh", "-c", enter, "sh", *spaces, "sh", "-c", SCRIPT]
        words = {"TOP": str(top), "NAME": host.name, "NOT_STARTED": " ".join(NOT_STARTED)}
        super().__init__(host.at(line), env=os.environ | words, preexec_fn=end_with_parent)
        try:
            eventually(self._is_up, lambda: self.out + self.err)
        except BaseException:  # it does not start, or the test is interrupted
            self.close()
            raise

    def run(
        self, *arguments: str, timeout: float = PATIENCE, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command on it to its end, as root."""
        spaces = ["-m", "-p", "-n", "-i", "-u", "-C"]
        before = ["nsenter", "-t", str(self._first), *spaces, "sh", "-c", 'cd / && exec "$@"', "sh"]
        return subprocess.run(
            [*before, *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def close(self) -> None:
        """Ends all of its processes."""
        # The kernel kills its first process with its parent, and all others with the first one.
        self.send(signal.SIGKILL)
        self.process.wait()
        eventually(lambda: _gone(self._group), "its control groups are empty")

    @property
    def _first(self) -> int:
        return children(self.pid)[0]

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.out + self.err
        if not children(self.pid):
            return False
        done = self.run("systemctl", "is-system-running")
        return done.stdout.strip() in {"running", "degraded"}


def why_no_machine() -> str:
    """Returns why this user can't make a machine; empty where it can."""
    tools = ("unshare", "nsenter", "pivot_root", "ip")
    if (
        os.geteuid()
        or not all(map(shutil.which, tools))
        or "overlay" not in Path("/proc/filesystems").read_text()
    ):
        return (
            "needs root, util-linux, iproute2 and overlayfs: it makes a machine out of namespaces"
        )
    return ""


def left_groups(pid: int) -> list[str]:
    """Returns the control groups of the machines that a process made."""
    return [str(group) for group in _control_groups().glob(f"{_prefix(pid)}*")]


def _prefix(pid: int) -> str:
    return f"loadgen-test-{pid}-"


def _control_groups() -> Path:
    """Returns the mount point of control groups of version 2."""
    rows = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return Path(next(where for _, where, kind, *_ in rows if kind == "cgroup2"))


def _gone(group: Path) -> bool:
    """Removes a control group and all below it.

    Returns False while one of them has a process.
    """
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    except OSError:
        return False
    return True
