"""The plan of the one user that is traced."""

from coordinator.trace import of_one_user
from loadgen.plan.feeder import Feeder
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.sessions import Loop


def test_it_is_user_0_with_its_own_session_at_once_and_to_its_end():
    specs = Loop(name="a", weight=1), Loop(name="b", weight=3, loops=2)
    plan = Plan(phases=(Phase(rate=5, duration=9),), sessions=specs, publish=Publish(rate=1))
    one = of_one_user(plan)

    assert one.sessions == (specs[plan.session_of(0)],)
    assert (one.total, one.hold, one.phases, one.publish) == (1, "sessions", (), None)


def test_it_has_the_same_row_as_in_a_run():
    rows = tuple({"name": name} for name in "xyz")
    specs = Loop(name="a"), Loop(name="b")
    for seed in range(8):
        feeders = tuple(
            Feeder(name=f"of-{name}", rows=rows, count=3, columns=("name",), sessions=(name,),
                   mode=mode)
            for name, mode in (("a", "unique"), ("b", "random"))
        )  # fmt: skip
        plan = Plan(sessions=specs, feeders=feeders, seed=seed)
        one = of_one_user(plan)
        (feeder,) = one.feeders
        before = next(known for known in feeders if known.name == feeder.name)

        if feeder.mode == "unique":
            assert one.places_of(feeder)(0) == plan.places_of(before)(0) == 0
