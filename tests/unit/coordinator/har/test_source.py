"""Python source for texts and values: it evaluates to what it was made from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.har.source import SourceNames, leaves, path_of, quoted

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(st.text())
def test_a_quoted_text_is_that_text(text):
    assert eval(quoted(text)) == text
    assert quoted(text).isprintable()


def test_line_ends_and_control_characters_are_escaped():
    assert quoted('a"\n\\\x1b') == "'a\"\\n\\\\\\x1b'"
    assert quoted("\"'") == '"\\"\'"'


@given(st.text(), st.text(min_size=1), st.text())
def test_a_text_with_a_known_value_is_an_f_string_with_its_name(before, value, after):
    names = SourceNames()
    names.known[value] = "token"

    source = names.text(before + value + after)

    assert "token" in source
    assert eval(source, {"token": value}) == before + value + after


def test_known_values_are_named_wherever_they_stand():
    names = SourceNames()
    names.known = {"abc": "token", "abcdef": "session_id"}

    assert names.text("abc") == "token"
    assert names.text("Bearer abc") == 'f"Bearer {token}"'
    assert names.text('{"jwt": "abc", "id": "abcdef"}') == (
        'f\'{{"jwt": "{token}", "id": "{session_id}"}}\''
    )
    assert names.value({"jwt": ["abc", 1, None]}, 0) == '{"jwt": [token, 1, None]}'


@given(JSON)
def test_a_json_value_is_written_as_itself(value):
    assert eval(SourceNames().value(value, 4, 6)) == value


def test_a_long_value_has_one_item_a_line():
    value = {"type": "join", "rooms": ["a" * 50, "b" * 50], "empty": {}}

    assert SourceNames().value(value, 0).splitlines() == [
        "{",
        '    "type": "join",',
        '    "rooms": [',
        f'        "{"a" * 50}",',
        f'        "{"b" * 50}",',
        "    ],",
        '    "empty": {},',
        "}",
    ]


@pytest.mark.parametrize(
    ("wish", "constant", "name"),
    [
        ("accessToken", False, "access_token"),
        ("accessToken", True, "ACCESS_TOKEN"),
        ("class", False, "class_2"),
        ("user", False, "user_2"),
        ("id", False, "id_2"),
        ("2fa", False, "value_2fa"),
        ("2fa", True, "_2FA"),
        ("…", False, "value"),
    ],
)
def test_a_name_is_close_to_the_wish_and_not_taken(wish, constant, name):
    assert SourceNames().new(wish, constant=constant) == name


def test_the_texts_in_a_value_are_found_with_their_keys():
    assert leaves({"a": ["x", {"b": "y"}], "c": 1}) == [(("a", 0), "x"), (("a", 1, "b"), "y")]
    assert len(leaves(["x"] * 10, most=3)) == 3
    assert path_of(("a", 1, 'b"')) == '["a"][1][\'b"\']'
