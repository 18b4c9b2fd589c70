import resource

import msgspec
import pytest

from loadgen.machine.facts import Machine, facts, read_machine
from loadgen.version import VERSION


def lay_out(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


PROC = {
    "proc/sys/kernel/osrelease": "6.1.0-test\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast CPU @ 3GHz\n\nprocessor\t: 1\n",
    "proc/self/status": "Name:\tpython\nCapEff:\t0000000000000400\nCpus_allowed_list:\t0-2,8\n",
    "proc/self/limits": (
        "Limit   Soft Limit   Hard Limit   Units\nMax open files       1024       20000     "
        " files\n"
    ),
    "proc/meminfo": "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n",
    "proc/net/sockstat": "sockets: used 12\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 324\n",
    "proc/sys/fs/nr_open": "1048576\n",
    "proc/sys/fs/file-max": "9223372036854775807\n",
    "proc/sys/fs/file-nr": "434\t0\t9223372036854775807\n",
    "proc/sys/net/core/somaxconn": "4096\n",
    "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "proc/sys/net/ipv4/ip_local_reserved_ports": "8080,9000-9010\n",
    "proc/sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
    "proc/sys/net/ipv4/tcp_mem": "1\t2\t3\n",
    "proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
    "proc/sys/net/netfilter/nf_conntrack_count": "garbled\n",
}


def test_facts_are_read_from_proc(tmp_path):
    machine = read_machine(lay_out(tmp_path, PROC))

    assert machine.kernel == "6.1.0-test"
    assert (machine.cpu, machine.cpus) == ("Fast CPU @ 3GHz", 4)
    assert machine.privileged
    assert (machine.nofile_soft, machine.nofile_hard) == (1024, 20_000)
    assert machine.memory_available == 1_024_000
    assert machine.cgroup_headroom is None
    assert machine.tcp_pages == 324
    assert (machine.file_max, machine.file_nr) == (2**63 - 1, (434, 0, 2**63 - 1))
    assert (machine.local_range, machine.reserved_ports) == ((32768, 60999), "8080,9000-9010")
    assert machine.tcp_mem == (1, 2, 3)
    assert (machine.conntrack_max, machine.conntrack_count) == (262_144, None)
    assert machine.tcp_rmem is None


def test_a_machine_that_shows_nothing_still_has_its_defaults(tmp_path):
    machine = read_machine(tmp_path)

    assert (machine.nofile_soft, machine.nofile_hard) == (1024, 4096)
    assert machine.cpu == "unknown", "as on ARM"
    assert machine.cpus >= 1
    assert machine.memory_available is None


def test_unlimited_open_files_are_a_number(tmp_path):
    files = {"proc/self/limits": "Max open files            1024       unlimited       files\n"}

    assert read_machine(lay_out(tmp_path, files)).nofile_hard == 1_048_576


V2 = {
    "proc/self/cgroup": "0::/kubepods/pod1/c1\n",
    "sys/fs/cgroup/kubepods/memory.max": "max\n",
    "sys/fs/cgroup/kubepods/pod1/memory.max": "1000000\n",
    "sys/fs/cgroup/kubepods/pod1/memory.current": "700000\n",
    "sys/fs/cgroup/kubepods/pod1/memory.stat": "anon 5\ninactive_file 100000\n",
    "sys/fs/cgroup/kubepods/pod1/c1/memory.max": "900000\n",
    "sys/fs/cgroup/kubepods/pod1/c1/memory.current": "100000\n",
    "sys/fs/cgroup/kubepods/pod1/c1/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/kubepods/cpu.max": "max 100000\n",
}
V1 = {
    "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "500000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "400000\n",
    "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
}
UNLIMITED = {
    "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
}


@pytest.mark.parametrize(("tree", "room"), [(V2, 400_000), (V1, 400_000), (UNLIMITED, None)])
def test_the_tightest_cgroup_bounds_the_memory(tmp_path, tree, room):
    assert read_machine(lay_out(tmp_path, tree)).cgroup_headroom == room


@pytest.mark.parametrize(("tree", "cpus"), [(V2, 2), (V1, 2), (UNLIMITED, 4)])
def test_a_cpu_quota_bounds_the_cores(tmp_path, tree, cpus):
    assert read_machine(lay_out(tmp_path, PROC | tree)).cpus == cpus


def test_this_machine_can_be_read():
    machine = read_machine()

    assert machine.nofile_hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert machine.memory_available
    assert machine.local_range


def test_facts_are_json_with_each_sysctl_under_its_own_name():
    machine = Machine(nr_open=1_048_576, tcp_mem=(190_000, 250_000, 380_000))
    told = msgspec.json.decode(msgspec.json.encode(facts(machine)))

    assert told["loadgen"] == VERSION
    assert told["net.ipv4.tcp_mem"] == [190_000, 250_000, 380_000]
    assert told["fs.nr_open"] == 1_048_576
    assert told["net.ipv4.tcp_tw_reuse"] is None


@pytest.mark.parametrize(
    ("pids", "mark", "container"),
    [
        ("pid:[4026531836]", ".dockerenv", ""),
        ("pid:[4026532999]", ".dockerenv", "docker"),
        ("pid:[4026532999]", "run/.containerenv", "podman"),
        ("pid:[4026532999]", "nothing", "unnamed"),
    ],
)
def test_a_container_is_known_by_its_process_ids_and_named_by_its_files(
    tmp_path, pids, mark, container
):
    lay_out(tmp_path, PROC | {mark: ""})
    (tmp_path / "proc/self/ns").mkdir()
    (tmp_path / "proc/self/ns/pid").symlink_to(pids)

    assert read_machine(tmp_path).container == container
