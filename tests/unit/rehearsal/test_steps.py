"""A rehearsal ends with the first step that does not hold, and says why."""

from tests.rehearsal.__main__ import in_turn


def test_steps_after_one_that_does_not_hold_are_not_taken():
    def second(taken: list[str]) -> str:
        raise AssertionError("it changed 3\nand this besides")

    taken: list[str] = []
    steps = {
        "first": lambda taken: taken.append("first") or "so it is",
        "second": second,
        "third": list.clear,
    }
    rows = list(in_turn(steps, taken))

    assert [(row.step, row.showed, row.held) for row in rows] == [
        ("first", "so it is", True),
        ("second", "it changed 3\nand this besides", False),
    ]
    assert taken == ["first"]
