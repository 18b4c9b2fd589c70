"""loadgen-tune on real kernel settings, in a network namespace of the test's own.

The settings of the whole machine are copies on a tmpfs.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes import PATIENCE, Command, command

SCRIPT = """
mkdir -p /var/lib /etc/sysctl.d
mount -t tmpfs tmpfs /var/lib && mount -t tmpfs tmpfs /etc/sysctl.d &&
mkdir /var/lib/fs && cp /proc/sys/fs/nr_open /proc/sys/fs/file-nr /var/lib/fs/ &&
echo 5000 > /var/lib/fs/file-max &&
mount --bind /var/lib/fs /proc/sys/fs && echo 512 > /proc/sys/net/core/somaxconn &&
echo ready && exec sleep infinity
"""
COUNTERS = re.compile(
    r"(fs\.(dentry-state|file-nr|inode-|aio-nr)|kernel\.(random\.|ns_last_pid|perf_)|net.*_count =)"
)
"""Figures that `sysctl -a` shows beside settings, which change by themselves."""
ROLE = ("--role", "target", "--connections", "10000")
KEYS = ("net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "fs.file-max")
SYSCTL = Path(__file__).parents[2] / "sysctl"
DROP_IN = "/etc/sysctl.d/90-loadgen.conf"


class Namespaces(Command):
    """A process with its own namespaces of network and mounts.

    They last as long as it does.
    """

    def __init__(self) -> None:
        super().__init__(["unshare", "--net", "--mount", "sh", "-c", SCRIPT])
        self.says("ready")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the namespaces to its end."""
        inside = [
            "nsenter",
            f"--net=/proc/{self.pid}/ns/net",
            f"--mount=/proc/{self.pid}/ns/mnt",
            *arguments,
        ]
        return subprocess.run(
            inside,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def tune(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `loadgen-tune` in the namespaces."""
        return self.run(*command("loadgen-tune", *arguments))

    def settings(self) -> dict[str, str]:
        """Returns the text of every setting under net and fs that can be set."""
        found = self.run(
            "sh", "-c", "find /proc/sys/net /proc/sys/fs -perm -200 -type f -exec grep -H '' {} +"
        )
        pairs = (line.partition(":") for line in found.stdout.splitlines())
        values: dict[str, str] = {}
        for name, _, text in pairs:
            values[name] = values.get(name, "") + text + "\n"
        return values

    def sysctl(self) -> str:
        """Returns the output of `sysctl -a`, without what changes by itself."""
        lines = self.run("sysctl", "-a").stdout.splitlines(keepends=True)
        return "".join(line for line in lines if not COUNTERS.match(line))

    def value(self, key: str) -> str:
        """Returns the text of one setting."""
        return self.run("cat", f"/proc/sys/{key.replace('.', '/')}").stdout


@pytest.fixture
def host() -> Iterator[Namespaces]:
    """Namespaces of the test's own.

    Skips the test where this user may not create them.
    """
    if os.geteuid() or not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("needs root and util-linux: it makes namespaces")
    with closing(Namespaces()) as made:
        yield made


def test_apply_then_undo_leaves_every_setting_as_it_was_to_the_byte(host):
    before, shown = host.settings(), host.sysctl()
    assert len(before) > 100

    done = host.tune("apply", *ROLE, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert [key for key in KEYS if f"{key} = " in done.stdout] == list(KEYS)
    assert host.value("net.core.somaxconn") == "16384\n"
    assert host.value("fs.file-max") == f"{(1 << 63) - 1}\n"
    assert host.sysctl() != shown
    assert {name for name, text in host.settings().items() if before[name] != text} == {
        f"/proc/sys/{key.replace('.', '/')}" for key in KEYS
    }

    done = host.tune("undo")
    assert (done.returncode, done.stderr) == (0, "")
    assert host.settings() == before
    assert host.sysctl() == shown


def test_a_second_apply_has_nothing_to_do_and_a_second_undo_is_refused(host):
    host.tune("apply", *ROLE, "--yes", "--persist")
    done = host.tune("apply", *ROLE, "--yes", "--persist")
    assert (done.returncode, done.stdout) == (
        0,
        "nothing to set: every kernel setting carries 10,000 connections as target\n",
    )
    host.tune("undo")
    done = host.tune("undo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("loadgen-tune: nothing to undo")
    assert done.stderr.count("\n") == 1


def test_a_dry_run_shows_and_sets_nothing(host):
    before = host.settings()
    done = host.tune("apply", *ROLE)

    assert done.returncode == 0
    assert all(key in done.stdout for key in KEYS)
    assert done.stdout.endswith("nothing was set: give --yes to set them\n")
    assert host.settings() == before


def test_a_yes_at_the_prompt_sets_them(host):
    words = " ".join(command("loadgen-tune", "apply", *ROLE))
    done = host.run("script", "-qec", words, "/dev/null")  # standard input ends: no answer
    assert "set them? [y/N]" in done.stdout
    assert host.value("net.core.somaxconn") == "512\n"
    host.run("sh", "-c", f"echo y | script -qec '{words}' /dev/null")
    assert host.value("net.core.somaxconn") == "16384\n"


def test_a_drop_in_is_one_that_sysctl_reads_and_goes_with_undo(host):
    host.tune("apply", *ROLE, "--yes", "--persist")
    host.run("sh", "-c", "echo 600 > /proc/sys/net/core/somaxconn")
    assert host.run("sysctl", "-p", DROP_IN).returncode == 0
    assert host.value("net.core.somaxconn") == "16384\n"

    assert host.tune("undo").returncode == 0
    assert host.run("test", "-e", DROP_IN).returncode == 1
    assert host.value("net.core.somaxconn") == "512\n"


def test_a_value_that_others_set_meanwhile_is_reported_and_kept(host):
    host.tune("apply", *ROLE, "--yes")
    host.run("sh", "-c", "echo 600 > /proc/sys/net/core/somaxconn")
    done = host.tune("undo")

    assert done.returncode == 1
    assert "net.core.somaxconn is 600, changed by others meanwhile and left so" in done.stdout
    assert host.value("net.core.somaxconn") == "600\n"
    assert host.tune("undo", "--force").returncode == 0
    assert host.value("net.core.somaxconn") == "512\n"


@pytest.mark.parametrize("name", ["client", "target"])
def test_this_kernel_accepts_every_setting_of_a_drop_in_that_a_network_has(host, name):
    """The other settings belong to the whole machine.

    A namespace has a copy of them, or none.
    """
    lines = [
        line
        for line in (SYSCTL / f"90-loadgen-{name}.conf").read_text().splitlines()
        if line[:1].isalpha()
    ]
    shown = host.settings()
    taken = [
        line for line in lines if f"/proc/sys/{line.split(' =')[0].replace('.', '/')}" in shown
    ]
    assert taken

    for line in taken:
        key, _, value = line.partition(" = ")
        done = host.run("sysctl", "-w", f"{key}={value}")
        assert (done.returncode, done.stderr) == (0, "")
        assert host.value(key).split() == value.split()


def test_a_read_only_proc_as_in_a_container_is_reported_in_one_line(host):
    host.run("sh", "-c", "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys")
    done = host.tune("apply", *ROLE, "--yes")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "/proc/sys is read-only here, as in a container" in done.stderr


def test_missing_rights_are_reported_in_one_line(host):
    done = host.run(
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        *command("loadgen-tune", "apply", *ROLE, "--yes"),
    )
    if "Permission denied" in done.stderr:
        pytest.skip(f"nobody may not read this checkout: {Path.cwd()}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "run this as root" in done.stderr
