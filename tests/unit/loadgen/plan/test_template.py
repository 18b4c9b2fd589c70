"""Text with variables, and the text of values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import PlanError
from loadgen.plan.template import Template, filled, pattern_of, text_of

VALUES = {
    "name": "ann",
    "n": 7,
    "list": ["a", 1],
    "yes": True,
    "none": None,
    "half": 0.5,
    "a b": "blank",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("%%_name%%", "ann"),
        ("<%%_name%%-%%_n%%>", "<ann-7>"),
        ("%%_list%%%%_yes%%%%_none%%%%_half%%", "a1truenull0.5"),
        ("%%_a b%%", "blank"),
        ("%%_nobody%%", "undefined"),
        ("100%% of %%_name%%", "100%% of ann"),
        ("%%_open", "%%_open"),
        ("%%name%%, %%n%%%%nobody%%", "ann, 7undefined"),
        ("50%% %%1%% %%a b%% %%module:name%%", "50%% %%1%% %%a b%% %%module:name%%"),
    ],
)
def test_variables_are_put_in(text, filled):
    assert Template(text).fill(VALUES) == filled


@given(st.text())
def test_text_without_substitution_stays_as_it_is(text):
    template = Template(text, subst=False)

    assert template.names == ()
    assert template.fill(VALUES) == text


@given(
    st.text(st.characters(exclude_characters="%")), st.text(st.characters(exclude_characters="%"))
)
def test_the_text_around_a_variable_is_kept(before, after):
    assert Template(f"{before}%%_name%%{after}").fill(VALUES) == f"{before}ann{after}"


def test_an_object_is_its_json():
    assert text_of([{"a": [1]}, "x"]) == '{"a":[1]}x'


def test_classes_of_a_pattern_are_those_of_ascii():
    """As in PCRE."""
    assert pattern_of(r"\d+\w").fullmatch("12a")
    assert pattern_of(r"\d").fullmatch("٣") is None


@pytest.mark.parametrize("text", ["*", "(", "[[:alpha:]]", "a{99999999999}"])
def test_a_pattern_that_python_reads_in_another_way_is_refused(text):
    with pytest.raises(PlanError, match="is no regular expression"):
        pattern_of(text)


def test_a_part_of_the_variables_may_be_filled_first():
    values = {"room": "lobby", "n": 5}

    assert filled("/%%room%%/%%_n%%?id=%%id%%", values) == "/lobby/5?id=%%id%%"
    assert filled("100 %% of it", values) == "100 %% of it"
