"""The validity of seconds: the reasons that their numbers prove nothing."""

import pytest

from coordinator.run.validity import why_invalid
from loadgen.stats.delays import Delays
from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held, Ledger
from loadgen.stats.tally import Tally
from tests.unit.coordinator.fleet import first_release
from tests.unit.coordinator.run.test_timeline import timeline


def second(tally, span=1):
    return Second(0, tally, Held(), span=span)


def delayed(**delays):
    return Second(0, delays=Delays(**delays))


@pytest.mark.parametrize(
    ("settled", "reasons"),
    [
        (second(Tally(), span=3), ["a reported the counts of several seconds as one"]),
        (
            second(Tally(launched=2, opened=2, lost=2)),
            ["2 open connections were lost with their agent or worker"],
        ),
        (delayed(stalls={2: 0.9}), ["worker 2 of agent a stood still for 0.9 s"]),
        (
            delayed(stalls={3: 0.25, 0: 1.0}),
            ["workers 0, 3 of agent a stood still, for up to 1 s"],
        ),
        (delayed(late=1, late_by=0.123), ["1 launch was late by up to 0.12 s"]),
        (delayed(late=1200, late_by=1.3), ["1,200 launches were late by up to 1.3 s"]),
    ],
)
def test_a_second_whose_numbers_prove_nothing_has_the_reasons(settled, reasons):
    seen = timeline()

    row = seen.add(first_release(settled, {"a": settled}, [])).row

    assert row.invalid == reasons
    assert seen.invalid == {0: reasons}


def test_only_the_workers_that_stood_still_are_named():
    parts = {
        "a": Second(0, delays=Delays(stalls={1: 0.5})),
        "b": Second(0),
        "c": Second(0, delays=Delays(stalls={1: 0.75})),
    }
    whole = Second(0)
    for part in parts.values():
        whole.merge(part)

    row = timeline().add(first_release(whole, parts, [])).row

    assert row.invalid == [
        "worker 1 of agent a stood still for 0.5 s",
        "worker 1 of agent c stood still for 0.75 s",
    ]


def test_reports_that_are_missing_are_named_and_so_is_what_no_agent_reports():
    part = Second(0, delays=Delays(unreported=(3,), stepped=20.0))
    settled = first_release(part, {"a": part}, ["b"], ["c"])

    assert why_invalid(settled, Ledger.of(0, Tally()), "the clock jumped") == [
        "no report from b",
        "no report from c before the loss",
        "no report from worker 3 of agent a before it was gone",
        "the clock jumped",
        "the clock of a and that of the run went apart by 20.0 s",
    ]


@pytest.mark.parametrize(
    ("exact", "reasons"),
    [
        (True, ["the ledger does not add up: open is 2 but 0 are held"]),
        (False, []),
    ],
)
def test_what_is_held_is_compared_while_every_second_is_complete(exact, reasons):
    tally = Tally(launched=2, opened=2)
    whole = second(tally)

    assert why_invalid(first_release(whole, {}, []), Ledger.of(2, tally), exact=exact) == reasons
