"""The errands of a run: setup is called once, by one agent after another."""

from coordinator.run.run import Run
from loadgen.wire import Errand, ErrandResult
from tests.unit.coordinator.fleet import PREPARED, gathered, hello, posted, ready, waits, warnings


def test_one_agent_calls_setup_before_any_has_a_share_and_all_get_what_it_returned():
    run, (first, second) = gathered()

    orders = [posted(run, agent, ready(), 0.5) for agent in (first, second)]
    assert [(one.do, one.errand) for one in orders] == [
        ("wait", Errand(1, "setup")),
        ("wait", None),
    ]
    assert (run.state, run.errand) == ("gathering", "setup on a")
    posted(run, first, ready(errand=ErrandResult(1, b"[1]")), 1.0)
    run.tick(1.0)

    orders = [posted(run, agent, ready(), 1.2) for agent in (first, second)]
    assert [(one.do, one.data, one.stay) for one in orders] == [("run", b"[1]", True)] * 2
    assert (run.state, run.errand) == ("running", "")
    again = posted(run, first, ready(has_data=True), 2.0)
    assert (again.do, again.data, again.errand) == ("run", b"", None)
    assert warnings(run) == [
        "agent a calls setup (prepare.py)",
        "setup is over: 3 bytes of JSON for all users",
    ]


def test_another_agent_calls_setup_when_the_first_is_lost_and_the_run_waits_for_its_agents():
    run, (first, second) = gathered()
    run.connection_broke(first, 1.0)
    waits(run, [second], 1.0, 4.0)
    assert posted(run, second, ready(), 4.0).errand == Errand(2, "setup")

    waits(run, [second], 4.0, 12.0)
    posted(run, second, ready(errand=ErrandResult(2, b"5")), 12.0)
    run.tick(12.0)
    assert (run.state, run.setup.data) == ("gathering", b"5")
    posted(run, run.join(hello("c"), 12.5).id, ready(), 12.5)
    run.tick(12.5)

    assert run.state == "running"


def test_an_agent_that_falls_silent_in_its_setup_is_replaced_though_too_few_are_left():
    run, (_, second) = gathered()
    waits(run, [second], 0.5, 12.0)

    assert posted(run, second, ready(), 12.0).errand == Errand(2, "setup")


def test_a_setup_without_an_end_fails_the_run():
    run, ids = gathered()
    waits(run, ids, 0.5, 100.0)

    assert "setup failed on agent a: the agent did not say" in str(run.ending.failure)


def test_a_resumed_run_has_what_setup_returned():
    calls = []
    run = Run(PREPARED, 1)
    run.record = lambda method, arguments: calls.append((method, arguments))
    agent = run.join(hello("a"), 0.0).id
    for now, post in enumerate((ready(), ready(errand=ErrandResult(1, b"[1]")), ready())):
        posted(run, agent, post, float(now))
        run.tick(float(now))
    again = Run(PREPARED, 1)
    for method, arguments in calls:
        getattr(again, method)(*arguments)

    assert (again.state, again.setup.data) == ("running", b"[1]")
    assert posted(again, agent, ready(), 4.0).data == b"[1]"
