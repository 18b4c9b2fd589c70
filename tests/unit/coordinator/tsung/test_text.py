"""Texts with variables and with Tsung's own functions."""

import pytest

from coordinator.tsung.text import one_line, script_text
from tests.unit.coordinator.tsung.elements import read, refused


def text(words: str, *, subst: bool = True):
    """Returns the script's text, and the notes on it."""
    element, notes = read("<a/>")
    return script_text(element, words, subst=subst, read_at=1700), [note.text for note in notes]


@pytest.mark.parametrize(
    ("words", "becomes", "notes"),
    [
        ("plain", "plain", 0),
        ("a %%_b%% c", "a %%_b%% c", 0),
        ("u%%ts_user_server:get_unique_id%%", "u%%_tsung_userid%%", 1),
        (
            "%%ts_user_server:get_unique_id%%%%ts_user_server:get_unique_id%%",
            "%%_tsung_userid%%%%_tsung_userid%%",
            1,
        ),
        ("%%ts_user_server:get_really_unique_id%%", "1700-%%_tsung_userid%%", 1),
    ],
)
def test_functions_become_variables_with_a_note(words, becomes, notes):
    found, noted = text(words)

    assert (found, len(noted)) == (becomes, notes)


def test_variables_that_are_not_replaced_are_noted():
    assert text("%%_a%%", subst=False) == (
        "%%_a%%",
        ['subst is not "true": variables are sent as they stand, in Tsung too'],
    )
    assert text("100%%", subst=False) == ("100%%", [])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("%%ts_user_server:get_id%%", "ends it in Tsung too"),
        ("%%ts_user_server:stop%%", "calls Erlang code"),
        ("%%mod:fun%%", "calls Erlang code"),
        ("100%%", "makes Tsung drop what follows"),
    ],
)
def test_what_no_script_can_do_is_refused(words, why):
    line, said = refused(text, words)

    assert (line, why in said) == (1, True)


def test_a_header_is_one_line():
    element, _ = read("<a/>")

    assert one_line(element, "a b") == "a b"
    assert refused(one_line, element, "a\nb")[0] == 1
