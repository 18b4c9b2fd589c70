"""Parameters: their names and values, and how sessions read them."""

import math

import pytest

from loadgen.errors import PlanError
from loadgen.plan.params import NONE, converted, param_mistakes, read_only


def test_names_that_a_template_can_have_and_values_of_toml_are_no_mistakes():
    assert list(param_mistakes({"room": "lobby", "n_1": 2**63 - 1, "X": 0.5, "on": True})) == []


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("1st", "a", "is no name of a parameter; begin with a letter"),
        ("a-b", "a", "is no name of a parameter"),
        ("tsung_userid", 1, r"\(but not tsung_userid\)"),
        ("rate", math.inf, "is inf; write a number that is finite"),
        ("rate", math.nan, "is nan; write"),
        ("big", 2**63, "has more than 63 bits; write it as text"),
    ],
)
def test_a_mistake_names_the_parameter(name, value, what):
    with pytest.raises(AssertionError, match=what):
        raise AssertionError(*(f"{found}" for _, found in param_mistakes({name: value})))


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("lobby", "hall", "lobby"),
        ("5", "hall", "5"),
        ("5", 1, 5),
        ("1_000", 1, 1000),
        ("1e3", 1, 1000),
        ("9007199254740993", 1, 2**53 + 1),
        ("5", 1.5, 5.0),
        ("1,000.5", 1.5, 1000.5),
        ("true", False, True),
        (" No", True, False),
    ],
)
def test_a_text_becomes_a_value_of_the_defaults_type(text, default, value):
    found = converted("key", text, default)

    assert (found, type(found)) == (value, type(default))


@pytest.mark.parametrize(
    ("text", "default", "what"),
    [
        ("much", 5, "the plan's default is 5; write a whole number"),
        ("1.5", 5, "write a whole number"),
        ("much", 0.5, "the plan's default is 0.5; write a number"),
        ("perhaps", True, "the plan's default is true; write true or false"),
    ],
)
def test_a_text_of_another_type_is_refused(text, default, what):
    with pytest.raises(PlanError, match=f"--param key={text}: .*{what}"):
        converted("key", text, default)


def test_sessions_read_parameters_and_change_none():
    params = read_only({"room": "lobby"})

    assert (params["room"], dict(params), params.get("else")) == ("lobby", {"room": "lobby"}, None)
    with pytest.raises(TypeError):
        params["room"] = "hall"


def test_a_parameter_that_is_missing_is_named_with_those_that_are_there():
    with pytest.raises(KeyError, match="no parameter 'roon'; it has room; give it by --param roon"):
        read_only({"room": "lobby"})["roon"]
    with pytest.raises(KeyError, match="the plan has no parameter 'room'; give it by --param"):
        NONE["room"]
