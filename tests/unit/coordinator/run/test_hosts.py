"""The highest figures of each host, and the seconds that a host limited."""

from coordinator.run.hosts import Hosts, HostSummary, mean
from loadgen.machine.host import HostState

FULL = HostState(busy=(99, 100))


def hosts() -> Hosts:
    """Returns two hosts, of which the first has two agents."""
    found = Hosts()
    for agent, host in (("a", "one"), ("b", "one"), ("c", "two")):
        found.expect(agent, host)
    return found


def test_a_host_that_was_the_limit_is_named_once_by_all_its_agents():
    overflowing = HostState(busy=(99, 100), listen_overflows=4)

    assert hosts().add({"a": FULL, "b": overflowing, "c": FULL}) == [
        "no core was idle on the host of a and 1 more",
        "the accept queue of a server overflowed on the host of a and 1 more",
        "no core was idle on the host of c",
    ]
    assert hosts().add({"b": FULL}) == ["no core was idle on the host of a and 1 more"]


def test_a_host_with_an_idle_core_was_not_the_limit():
    assert hosts().add({"a": HostState(busy=(100, 40)), "c": HostState()}) == []


def test_the_highest_figures_of_any_second_and_agent_are_kept():
    found = hosts()
    found.add({"a": HostState(busy=(90, 10), softirq=(5, 30), steal=(4, 0), running=3)})
    found.add({"a": HostState(busy=(40, 30), running=9, switches=1000), "b": HostState()})
    found.add({"b": HostState(busy=(40, 30), running=2, retransmits=7, listen_overflows=0)})

    assert found.summaries() == [
        HostSummary(
            agents=["a", "b"], cores=2, busy=50, idlest=30, softirq=30, steal=2, running=9,
            switches=1000, retransmits=7, listen_overflows=0,
        )
    ]  # fmt: skip


def test_a_host_that_says_nothing_has_no_figures():
    found = hosts()
    found.add({"a": HostState()})

    assert found.summaries() == []


def test_the_mean_over_no_core_is_unknown():
    assert (mean(()), mean((1, 2, 6))) == (None, 3)
