"""Tsung's dialect of JSONPath: what a path leads to."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.jsonpath import NOTHING, find_in, fits, json_in, path_by, path_of
from loadgen.plan.template import Template

MENU = {
    "titi": [
        {"val": 123, "name": "foo"},
        {"val": 42, "name": "bar"},
        {"val": 48, "name": "bar", "more": [1, [2]]},
    ],
    "menu": {"popup": {"name": "glop"}},
    "nodes": ["suno-12", "suno-13"],
    "null": None,
}
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("titi[1].val", 42),
        ("$.titi[1].val", 42),
        ("titi[3]", NOTHING),
        ("titi[-1]", NOTHING),
        ("titi[?name=foo].val", 123),
        ("titi[?name=bar].val", [42, 48]),
        ("titi[?val=123].name", "foo"),
        ("titi[?name=void].val", NOTHING),
        ("titi[?void=1].val", NOTHING),
        ("titi[*].val", [123, 42, 48]),
        ("titi[*].more[1][0]", ["undefined", "undefined", 2]),
        ("menu.popup.name", "glop"),
        ("menu.*.popup.name", "glop"),
        ("menu.popup", '{"name":"glop"}'),
        ("nodes", ["suno-12", "suno-13"]),
        ("nodes.name", NOTHING),
        ("menu[0]", NOTHING),
        ("null", None),
        ("", msgspec.json.encode(MENU).decode()),
    ],
)
def test_a_path_leads_to_a_value_and_to_a_list_only_where_it_forks(path, found):
    assert find_in(path_of(path), MENU) == found


def test_a_path_may_name_variables():
    path = path_by(Template("titi[?name=%%_name%%].val"))

    assert find_in(path({"name": "foo"}), MENU) == 123
    assert find_in(path({"name": "void"}), MENU) is NOTHING


@given(st.text("ab.[]*?=0-", max_size=20), json)
def test_no_path_fails_on_any_document(path, document):
    find_in(path_of(path), document)


def test_a_path_without_variables_is_the_same_for_each_user():
    path = path_by(Template("menu.popup.name"))

    assert path({}) is path({"name": "foo"})
    assert find_in(path({}), MENU) == "glop"


@pytest.mark.parametrize(
    ("wanted", "fit"),
    [
        ({}, True),
        ({"type": "ping"}, True),
        ({"type": "pong"}, False),
        ({"type": "ping", "data.n": 1}, True),
        ({"data.n": 1.0}, True),
        ({"data.n": True}, False),
        ({"data.yes": True}, True),
        ({"data.yes": 1}, False),
        ({"data.nothing": None}, True),
        ({"missing": None}, False),
    ],
)
def test_values_fit_by_their_paths(wanted, fit):
    value = {"type": "ping", "data": {"n": 1, "yes": True, "nothing": None}}

    assert fits(value, [(path_of(path), one) for path, one in wanted.items()]) is fit


@pytest.mark.parametrize("text", ["", "{", b"\xff", "[" * 100_000, '"\ud800"'])
def test_what_is_no_json_has_no_value(text):
    assert json_in(text) is NOTHING
    assert json_in(b"[1]") == [1]
