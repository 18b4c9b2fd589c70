"""In which line a value of a TOML text stands."""

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from loadgen.whereabouts import keys_of, line_of

TEXT = '''\
# a comment
rate = 5
inline = { a = 1, b = 2 }
texts = [
  "one",
  "two",
]
story = """
rate = 6
"""

[table]
deep.er = 1

[[many]]
name = "first"
[[many]]
name = "second"
[many.below]
x = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("rate", 2),
        ("inline.b", 3),
        ("texts", 7),
        ("texts[1]", 7),
        ("story", 10),
        ("table", 12),
        ("table.deep.er", 13),
        ("many[0].name", 16),
        ("many[1]", 17),
        ("many[1].name", 18),
        ("many[1].below.x", 20),
        ("many[1].missing", 17),
        ("many[7]", 15),
        ("rate.too.far", 2),
        ("missing", None),
        ("", None),
    ],
)
def test_the_line_of_a_value_or_of_what_it_would_be_in(path, line):
    assert line_of(TEXT, keys_of(path)) == line
    assert line_of(TEXT.replace("\n", "\r\n"), keys_of(path)) == line


def test_a_path_is_read_as_far_as_it_can_be():
    assert keys_of("phases[10].sessions.a-b") == ("phases", 10, "sessions", "a-b")
    assert keys_of("phases[0].sessions[...]") == ("phases", 0, "sessions")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.text(max_size=9) | st.integers(), min_size=1))
def test_each_key_of_a_flat_document_has_the_line_that_begins_with_it(document):
    text = tomli_w.dumps(document)

    for key in document:
        assert text.split("\n")[line_of(text, (key,)) - 1].startswith(f"{key} = ")
