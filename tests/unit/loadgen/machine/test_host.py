"""The state of a host between two readings of its /proc."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.machine.host import HostState, reading_of, state_between

STAT = """\
cpu  1225784 32001 141500 1603893 5446 0 12913 40782 0 0
cpu0 571833 15404 66879 849725 1395 0 5732 19901 0 0
cpu1 653951 16597 74621 754168 4051 0 7180 20880 0 0
intr 9550110 0 0 0 1 1 13
ctxt 18415102
btime 1795874232
processes 131190
procs_running 3
procs_blocked 0
softirq 29022374 0 1432662 658
"""
SNMP = """\
Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 35900000
Tcp: RtoAlgorithm MaxConn ActiveOpens OutSegs RetransSegs InErrs
Tcp: 1 -1 2166393 35831200 17397 1825
"""
NETSTAT = """\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPSynRetrans
TcpExt: 20 16699 16701 11395
IpExt: InNoRoutes
IpExt: 0
"""
SOCKSTAT = "sockets: used 14\nTCP: inuse 1 orphan 0 tw 20000 alloc 1 mem 252\nUDP: inuse 0 mem 5\n"


def reading(stat=STAT, snmp=SNMP, netstat=NETSTAT, sockstat=SOCKSTAT, cores=(0, 1)):
    return reading_of(stat, snmp, netstat, sockstat, cores)


def cores(*ticks):
    """Returns a /proc/stat with the ticks of each core, in proc_stat(5)'s order."""
    lines = [f"cpu{core} {' '.join(map(str, columns))}" for core, columns in enumerate(ticks)]
    return "\n".join(lines)


def between(before, after):
    """Returns the state from one /proc/stat to another."""
    return state_between(reading(stat=before), reading(stat=after))


def test_the_counters_of_a_real_machine_are_read():
    found = reading()

    assert found.cores["cpu1"] == (653951, 16597, 74621, 754168, 4051, 0, 7180, 20880)
    assert found.counters == {
        "switches": 18_415_102,
        "retransmits": 17_397,
        "syn_retransmits": 11_395,
        "listen_overflows": 16_699,
        "listen_drops": 16_701,
    }
    assert found.gauges == {"running": 3, "socket_pages": 252}


def test_a_state_has_what_grew_and_what_is():
    later = reading(
        STAT.replace("18415102", "18416000").replace("procs_running 3", "procs_running 9"),
        SNMP.replace("17397", "17400"),
        NETSTAT.replace("16699 16701 11395", "16701 16704 11396"),
        SOCKSTAT.replace("mem 252", "mem 300"),
    )

    assert state_between(reading(), later) == HostState(
        running=9,
        switches=898,
        retransmits=3,
        syn_retransmits=1,
        listen_overflows=2,
        listen_drops=3,
        socket_pages=300,
    )


def test_each_core_has_its_busy_and_its_stolen_time_in_percent():
    state = between(
        cores((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
        cores((40, 5, 5, 20, 5, 0, 10, 15, 40, 5), (0, 0, 0, 97, 3, 0, 0, 0, 0, 0)),
    )

    assert state == HostState(
        busy=(75, 0), softirq=(10, 0), steal=(15, 0), running=None, switches=None,
        retransmits=0, syn_retransmits=0, listen_overflows=0, listen_drops=0, socket_pages=252,
    )  # fmt: skip


def test_only_the_cores_of_this_process_count():
    assert reading(cores=[1]).cores.keys() == {"cpu1"}


def test_what_a_kernel_does_not_show_is_unknown():
    nothing = reading("", "", "", "")

    assert state_between(nothing, nothing) == state_between(nothing, reading("", "", "", ""))
    assert state_between(nothing, nothing) == HostState()
    assert state_between(nothing, reading()) == HostState(running=3, socket_pages=252)
    assert HostState().limits == []


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_is_read(stat, snmp, netstat, sockstat):
    found = reading(stat, snmp, netstat, sockstat)

    assert state_between(found, found) == HostState(
        **found.gauges, **dict.fromkeys(found.counters, 0)
    )


@pytest.mark.parametrize(
    "text", ["cpu0 x 1 - 3\n\n \nctxt many\n", "cpu0\n", "Tcp: a b\nTcp: 1 x\n", "TCP: mem -1\n"]
)
def test_what_is_no_number_is_left_out(text):
    found = reading(text, text, text, text)

    assert (found.counters, found.gauges) == ({}, {})
    assert state_between(found, found) == HostState()


def test_counters_that_fall_and_cores_that_come_or_go_are_no_error():
    """The time of waiting for I/O may fall, and cores are switched on and off."""
    assert between(cores((5, 0, 0, 5, 9)), cores((10, 0, 0, 10, 2))).busy == (50,)
    assert between(cores((5, 0, 0, 5)), cores((10, 0, 0, 10), (1, 0, 0, 1))).busy == (50,)
    assert between(cores((5, 0, 0, 5)), cores((5, 0, 0, 5))).busy == ()
    assert between("ctxt 10", "ctxt 3").switches == 0


@pytest.mark.parametrize(
    ("state", "limits"),
    [
        (HostState(busy=(100, 97)), ["no core was idle"]),
        (HostState(busy=(100, 96)), []),
        (HostState(steal=(20, 0)), ["other machines on the same hardware took CPU time"]),
        (HostState(steal=(19, 0)), []),
        (HostState(listen_overflows=1), ["the accept queue of a server overflowed"]),
        (HostState(busy=(50,), steal=(0,), listen_overflows=0, listen_drops=3), []),
    ],
)
def test_a_host_is_the_limit_where_it_had_nothing_left(state, limits):
    assert state.limits == limits
