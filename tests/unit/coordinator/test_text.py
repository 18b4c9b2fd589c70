"""Text for people, and foreign text made safe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.text import (
    and_more,
    clean_name,
    columns,
    enumerated,
    in_natural_order,
    ms,
    one_line,
    percent_text,
    plain_lines,
    reasons,
    sample_file,
    seconds,
    shortened,
)


def test_names_with_numbers_are_sorted_by_their_values():
    names = ["a-10", "b", "a-9", "a", "a-9b", "10", "9"]

    assert sorted(names, key=in_natural_order) == ["9", "10", "a", "a-9", "a-9b", "a-10", "b"]


def test_a_long_text_lacks_its_middle():
    assert shortened("realtime-worker-11", 18) == "realtime-worker-11"
    assert shortened("realtime-worker-11", 10) == "realt…r-11"
    assert shortened("realtime-worker-11", 9) == "real…r-11"
    assert (shortened("abc", 2), shortened("abc", 1)) == ("a…", "…")


def test_texts_are_enumerated():
    assert enumerated(["a"]) == "a"
    assert enumerated(["a", "b"]) == "a and b"
    assert enumerated(["a", "b", "c"]) == "a, b and c"


@given(st.text())
def test_any_text_becomes_a_name_that_is_safe_in_a_path(text):
    name = clean_name(text)

    assert name
    assert name[0] not in ".-"
    assert "/" not in name
    assert name.isascii()
    assert clean_name(name) == name


@given(st.text())
def test_any_text_becomes_one_printable_line(text):
    line = one_line(text, 50)

    assert line.isprintable()
    assert len(line) <= 50


def test_a_text_of_several_lines_becomes_one_and_is_cut():
    assert one_line("a\tb\n\x1b[2J  c") == "a b [2J c"
    assert one_line("x" * 50, 50) == "x" * 50
    assert one_line("x" * 51, 50) == "x" * 49 + "…"


@pytest.mark.parametrize(
    ("value", "text"), [(0.4, "0 s"), (12, "12 s"), (185, "3:05 min"), (3723, "1:02:03 h")]
)
def test_durations(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.423, "0.42"), (3.14, "3.1"), (250.4, "250"), (12_345.0, "12,345")]
)
def test_milliseconds(value, text):
    assert ms(value) == text


def test_the_most_frequent_reason_comes_first():
    assert reasons({"a": 1, "timeout": 3, "refused": 1200}) == "refused 1,200, timeout 3, a 1"


def test_a_reason_with_a_traceback_names_its_file():
    files = {"error_KeyError": sample_file("error_KeyError")}

    assert reasons({"error_KeyError": 2, "done": 1}, files) == (
        "error_KeyError 2 (errors/error_KeyError.txt), done 1"
    )


def test_text_of_several_lines_has_no_control_sequences_for_a_terminal():
    assert plain_lines("a\tb\n\x1b[2Jé\ud800") == "a\tb\n�[2Jé�"
    assert plain_lines("x" * 9000 + "the end").endswith("x" * 8185 + "the end")
    assert len(plain_lines("x" * 9000)) == 8192


def test_columns_line_up():
    assert columns([["a", "1"], ["long", "23"]]) == ["a      1", "long  23"]


def test_only_the_first_of_several_is_named():
    assert and_more([]) == ""
    assert and_more(["a"]) == "a"
    assert and_more(["a", "b", "c"]) == "a and 2 more"


def test_a_reason_says_when_to_come_back_beside_its_file():
    counts = {"http_429": 2, "http_503": 1, "refused": 3}
    files = {"http_429": "errors/http_429.txt", "http_503": "errors/http_503.txt"}

    assert reasons(counts, files, {"http_429": "30"}) == (
        "refused 3, http_429 2 (Retry-After: 30; errors/http_429.txt),"
        " http_503 1 (errors/http_503.txt)"
    )


def test_a_percentage_is_rounded_down_so_that_all_is_said_of_all_alone():
    assert percent_text(100.0) == "100 %"
    assert percent_text(99.999_99) == "99.9999 %"
    assert percent_text(12.5) == "12.5 %"
