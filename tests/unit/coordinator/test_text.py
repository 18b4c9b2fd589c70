"""Text for people, and words from elsewhere made harmless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator import text as words


@given(st.text())
def test_any_name_becomes_one_that_is_safe_in_a_path(text):
    name = words.clean_name(text)

    assert name
    assert name[0] not in ".-"
    assert "/" not in name
    assert name.isascii()
    assert words.clean_name(name) == name


@given(st.text())
def test_any_text_becomes_one_printable_line(text):
    line = words.one_line(text, 50)

    assert line.isprintable()
    assert len(line) <= 50


@pytest.mark.parametrize(
    ("value", "text"), [(0.4, "0 s"), (12, "12 s"), (185, "3:05 min"), (3723, "1:02:03 h")]
)
def test_durations(value, text):
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.423, "0.42"), (3.14, "3.1"), (250.4, "250"), (12_345.0, "12,345")]
)
def test_milliseconds(value, text):
    assert words.ms(value) == text


def test_reasons_come_with_the_most_frequent_first():
    assert words.reasons({"a": 1, "timeout": 3, "refused": 1200}) == "refused 1,200, timeout 3, a 1"


def test_a_reason_with_a_traceback_names_its_file():
    files = {"error_KeyError": words.traceback_file("error_KeyError")}

    assert words.reasons({"error_KeyError": 2, "done": 1}, files) == (
        "error_KeyError 2 (errors/error_KeyError.txt), done 1"
    )


def test_text_of_several_lines_keeps_nothing_that_moves_a_terminal():
    assert words.plain_lines("a\tb\n\x1b[2Jé\ud800") == "a\tb\n�[2Jé�"
    assert words.plain_lines("x" * 9000 + "the end").endswith("x" * 8185 + "the end")
    assert len(words.plain_lines("x" * 9000)) == 8192


def test_columns_line_up():
    assert words.columns([["a", "1"], ["long", "23"]]) == ["a      1", "long  23"]


def test_of_several_texts_the_first_is_shown_and_the_others_are_counted():
    assert words.and_more(["one"]) == "one"
    assert words.and_more(["one", "two", "three"]) == "one and 2 more"
