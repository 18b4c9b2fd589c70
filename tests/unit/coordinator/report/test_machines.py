"""The machines of a run, each different one once."""

from coordinator.report.machines import addresses_of, machines_of, setting_text
from coordinator.storage.reader import AgentFacts, RunFacts


def test_agents_on_equal_machines_share_one_entry():
    small = {"cpus": 2, "kernel": "6.1"}
    big = {"cpus": 64, "kernel": "6.1"}
    facts = RunFacts(
        agents=[
            AgentFacts("a", small | {"memory_available": 1}),
            AgentFacts("b", big),
            AgentFacts("c", small | {"memory_available": 2}),
        ]
    )

    assert machines_of(facts) == [(small, ["a", "c"]), (big, ["b"])]


def test_agents_that_loaded_the_same_addresses_share_a_row():
    one, other = {"ws://t/": ("10.0.0.1", "10.0.0.2")}, {"ws://t/": ("10.0.0.2", "10.0.0.1")}
    facts = RunFacts(
        agents=[AgentFacts("a", {}, one), AgentFacts("b", {}), AgentFacts("c", {}, other)]
    )
    assert addresses_of(facts) == [("ws://t/", "10.0.0.1, 10.0.0.2", ["a", "c"])]


def test_a_run_without_facts_has_no_machines():
    assert machines_of(RunFacts()) == []


def test_settings_are_text():
    assert setting_text([4096, 87380]) == "4096 87380"
    assert setting_text(None) == setting_text("") == "–"
    assert setting_text(0) == "0"
