"""The machines of a run, each different one once."""

from coordinator.report.machines import machines_of, setting_text
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


def test_a_run_without_facts_has_no_machines():
    assert machines_of(RunFacts()) == []


def test_settings_are_text():
    assert setting_text([4096, 87380]) == "4096 87380"
    assert setting_text(None) == setting_text("") == "–"
    assert setting_text(0) == "0"
