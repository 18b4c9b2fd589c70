"""The verdict on two outcomes hides nothing.

It excuses no difference whose reason is not known.
"""

from itertools import accumulate
from random import Random

import pytest

from tests.compare.cases import Case, Known
from tests.compare.document import render
from tests.compare.verdict import compare, finding
from tests.unit.compare.invented import outcome

CASE = Case(
    "ack",
    "a test",
    ((400, 30),),
    chances={"users of /a": 0.5},
    known=(Known(("ends *",), "because"),),
)


def arrivals(seed, users=400, rate=30.0):
    random = Random(seed)
    return list(accumulate(random.expovariate(rate) for _ in range(users)))


@pytest.mark.parametrize(
    ("name", "tsung", "loadgen", "verdict"),
    [
        ("upgrades", 7, 7, "same"),
        ("upgrades", 7, 8, "DIFFERENT"),
        ("users of /a", 190, 210, "by chance"),
        ("users of /a", 170, 230, "DIFFERENT"),
        ("ends with no close frame", 0, 400, "explained"),
        ("size_sent", 1, 2, "explained"),
    ],
)
def test_a_count_is_equal_or_by_chance_or_explained_or_different(name, tsung, loadgen, verdict):
    assert finding(CASE, name, tsung, loadgen).verdict == verdict


def test_equal_outcomes_hold_and_a_known_difference_that_does_not_show_is_told():
    compared = compare(CASE, outcome(arrivals(1)), outcome(arrivals(2)))

    assert compared.held
    assert {finding.verdict for finding in compared.findings} == {"same"}
    assert compared.unseen == list(CASE.known)
    text = render([compared], "Tsung 0", 60)
    assert "not seen this time: because" in text
    assert "DIFFERENT" not in text


def test_what_only_one_of_them_has_differs():
    compared = compare(
        CASE, outcome(arrivals(1), error_unknown=3.0), outcome(arrivals(2), ("hello", "again"))
    )

    differing = {finding.name for finding in compared.findings if finding.verdict == "DIFFERENT"}
    assert differing == {"text messages", "“again”", "error_unknown"}
    assert not compared.held
    assert "error_unknown: 3 / 0, and no reason is known" in render([compared], "Tsung 0", 60)


@pytest.mark.parametrize(("tsung", "loadgen"), [(30, 60), (60, 60)])
def test_arrivals_at_another_rate_do_not_hold_be_it_both_tools_or_one(tsung, loadgen):
    compared = compare(CASE, outcome(arrivals(1, rate=tsung)), outcome(arrivals(2, rate=loadgen)))

    assert [shape.verdict for shape in compared.shapes] == ["DIFFERENT"]
    assert not compared.held


def test_a_tsung_that_is_not_as_asked_is_told_and_no_fault_of_loadgen():
    compared = compare(CASE, outcome(arrivals(1, rate=20)), outcome(arrivals(2)))

    assert [shape.verdict for shape in compared.shapes] == ["explained"]
    assert compared.held
    assert "Tsung's are not (arrivals: D" in render([compared], "Tsung 0", 60)


def test_known_differences_are_told_with_their_counts():
    compared = compare(CASE, outcome(arrivals(1), code=0), outcome(arrivals(2)))

    assert compared.held
    told = "`ack`: because (ends with no close frame: 400 / 0; ends with close frame 1000: 0 / 400)"
    assert told in render([compared], "Tsung 0", 60)
