"""The row of a user follows from its number."""

import pytest

from loadgen.plan.feeder import FEEDER_SALT, MARKED, Feeder, Ranks, feeder_mistakes, place_of

FIVE = Feeder(file="users.csv", count=5, columns=("id",), sha256="0" * 64, table=b"[1]\n" * 5)


def places(numbers, rank=None, **changes):
    """The places of users' rows in a feeder with five rows."""
    feeder = Feeder(**{"file": "users.csv", "count": 5} | changes)
    place = place_of(feeder, FEEDER_SALT, 1, rank)
    return [place(number) for number in numbers]


def test_each_row_of_a_unique_feeder_is_that_of_one_user():
    assert places([0, 4, 2, 4, 5, 99]) == [0, 4, 2, 4, None, None]
    assert places([4, 5], at_end="stop") == [4, None]
    assert places([4, 5, 11], at_end="wrap") == [4, 0, 1]


def test_shared_rows_are_taken_in_turn():
    assert places(range(7), mode="shared") == [0, 1, 2, 3, 4, 0, 1]


def test_random_rows_follow_from_number_and_salt():
    drawn = places(range(1000), mode="random")

    assert set(drawn) == set(range(5))
    assert min(map(drawn.count, range(5))) > 150
    assert places(reversed(range(1000)), mode="random") == drawn[::-1]
    other = place_of(Feeder(file="x.csv", count=5, mode="random"), FEEDER_SALT + 1, 1, None)
    assert [other(number) for number in range(1000)] != drawn


def test_users_of_one_session_take_its_rows_in_their_order():
    """Every third user is fed, so user 3 has row 1."""
    fed = Ranks(lambda number: number % 3, [0])
    assert places([0, 3, 12, 15], fed) == [0, 1, 4, None]
    assert places([15, 18], fed, mode="shared") == [0, 1]


def test_ranks_count_the_users_below_a_number_in_any_order():
    ranks = Ranks(lambda number: number % 7, {1, 5})
    numbers = [0, 5, 5, 6, 3 * MARKED, 3 * MARKED + 9, 2, MARKED - 1, MARKED, 10 * MARKED + 1]

    assert [ranks(number) for number in numbers] == [
        sum(below % 7 in (1, 5) for below in range(number)) for number in numbers
    ]


def test_ranks_draw_each_session_once_while_numbers_ascend():
    drawn = []

    def session_of(number):
        drawn.append(number)
        return 0

    ranks = Ranks(session_of, [0])
    assert [ranks(number) for number in range(MARKED)] == list(range(MARKED))
    assert drawn == list(range(MARKED - 1))


def test_a_feeder_without_its_rows_still_says_how_many_there_are():
    inline = Feeder(rows=({"id": "secret"},), count=1)

    assert inline.without_rows.rows == ()
    assert FIVE.without_rows == Feeder(file="users.csv", count=5, columns=("id",), sha256="0" * 64)


def test_a_run_directory_has_the_rows_in_a_file_of_their_own():
    kept = Feeder(name="a.b", file="/x/users.tsv", mode="shared", columns=("id",), count=2).kept

    assert (kept.file, kept.format, kept.names) == ("feeders/a.b.jsonl", "jsonl", ("id",))
    assert (kept.mode, kept.columns, kept.count) == ("shared", ("id",), 2)


MISTAKES = {
    "no rows": ([Feeder()], "feeders[0]", "needs a `file` with rows"),
    "two sources": ([Feeder(file="a.csv", rows=({},))], "feeders[0].rows", "beside `file`"),
    "an end that never comes": (
        [Feeder(file="a.csv", mode="random", at_end="stop")],
        "feeders[0].at_end",
        'no effect with `mode = "random"`',
    ),
    "a line's end between fields": (
        [Feeder(file="a.csv", delimiter="\n")],
        "feeders[0].delimiter",
        "is the end of a line",
    ),
    "one sign for two ends": (
        [Feeder(file="a.csv", quote=",")],
        "feeders[0].quote",
        "also the `delimiter`",
    ),
    "one name for two": ([FIVE, Feeder(file="b.csv")], "feeders[1].name", "a second time"),
    "a session that is none": (
        [Feeder(file="a.csv", sessions=("chat", "caht"))],
        "feeders[0].sessions",
        "names 'caht'; the plan's sessions are chat, read",
    ),
    "one column from two": (
        [FIVE, Feeder(name="b", file="b.csv", columns=("x", "id"))],
        "feeders[1]",
        "has the column 'id', which feeder 'users' has too",
    ),
}


@pytest.mark.parametrize(("feeders", "at", "what"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_name_their_key(feeders, at, what):
    found = list(feeder_mistakes(feeders, ["chat", "read"]))

    assert [where for where, _ in found] == [at]
    assert what in found[0][1]


def test_feeders_of_different_sessions_may_have_the_same_columns():
    feeders = [
        Feeder(file="a.csv", columns=("id",), sessions=("chat",)),
        Feeder(name="b", file="b.csv", columns=("id",), sessions=("read",)),
    ]

    assert not list(feeder_mistakes(feeders, ["chat", "read"]))
