"""The values that each source gives to a script's variables."""

from typing import get_args, get_type_hints

import pytest

from loadgen.plan.script import SetVars
from loadgen.sessions.script.context import ScriptContext, ScriptEnd
from loadgen.sessions.script.variables import SOURCES, lines_of, set_action
from tests.unit.loads import idle_user

FILES = {"users": "ann;1\nbob;2\ncyd\n\n"}


def context_of(number=0):
    """The context of a user that has no connection."""
    return ScriptContext(idle_user(number))


def values_of(context, *names, **step):
    """The values of the names after a step has set them."""
    set_action(SetVars(names=names, **step), FILES)(context)
    return tuple(context.values[name] for name in names)


def test_every_source_of_a_step_has_a_function():
    assert SOURCES.keys() == set(get_args(get_type_hints(SetVars)["source"]))


def test_a_value_goes_to_the_first_name_and_the_others_become_empty():
    assert values_of(context_of(), "a", "b", source="value", value="x") == ("x", "")


def test_user_k_begins_with_line_k_and_goes_on_with_the_next():
    context = context_of(number=1)
    lines = [values_of(context, "name", "id", source="file", file="users") for _ in range(3)]

    assert lines == [("bob", "2"), ("cyd", ""), ("ann", "1")]


@pytest.mark.parametrize(
    ("text", "lines"), [("a\nb\n\n", ["a", "b"]), ("", [""]), ("a\n\nb", ["a", "", "b"])]
)
def test_empty_lines_count_but_for_those_at_the_end(text, lines):
    assert lines_of(text) == lines


def test_random_numbers_lie_between_both_ends_and_the_constant_string_is_always_the_same():
    numbers = values_of(context_of(), *"abcdef", source="random_number", start=3, end=4)
    fixed = [values_of(context_of(k), "s", source="urandom_string", length=30) for k in (1, 2)]

    assert set(numbers) <= {3, 4}
    assert fixed[0] == fixed[1]
    assert len(fixed[0][0]) == 30


@pytest.mark.parametrize(
    ("source", "path", "found"),
    [("jsonpath", "a[1]", 8), ("jsonpath", "b", ""), ("re", r"\[(\d)", "7"), ("re", "(z)", "")],
)
def test_values_come_from_another_variable(source, path, found):
    context = context_of()
    context.values["json"] = '{"a":[7,8]}'

    assert values_of(context, "x", source=source, var="json", value=path) == (found,)


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "error_unknown"), ("no json", "error_json_unparsable")]
)
def test_a_variable_that_is_unset_or_no_json_ends_the_session(text, reason):
    context = context_of()
    if text is not None:
        context.values["json"] = text

    with pytest.raises(ScriptEnd, match=reason):
        values_of(context, "x", source="jsonpath", var="json", value="a")
    assert context.user.recorder.tally.counters == {reason: 1}


@pytest.mark.parametrize(
    ("step", "value"),
    [
        ({"source": "value", "value": "<%%_a%%>"}, "<Ä>"),
        ({"source": "base64", "value": "%%_a%%"}, "w4Q="),
        ({"source": "hex", "value": "%%_a%%"}, "c384"),
        ({"source": "hex", "value": "%%_a%%", "prefix": "u16"}, "0002c384"),
        ({"source": "bytes", "value": "00 %%_h%%", "prefix": "varint"}, "0200ff"),
    ],
)
def test_bytes_are_written_as_text(step, value):
    context = context_of()
    context.values |= {"a": "Ä", "h": "ff"}

    assert values_of(context, "x", **step) == (value,)


@pytest.mark.parametrize(
    "step",
    [
        {"source": "bytes", "value": "%%_a%%"},
        {"source": "hex", "value": "%%_a%%" * 300, "prefix": "u8"},
    ],
)
def test_bytes_that_can_not_be_written_end_the_session(step):
    context = context_of()
    context.values["a"] = "x"

    with pytest.raises(ScriptEnd, match="error_unknown"):
        values_of(context, "x", **step)
