"""XML: elements with their lines, and nothing from outside of the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.tsung.document import MAX_BYTES, MAX_DEPTH, MAX_ENTITY, read_document
from coordinator.tsung.element import TsungError
from tests.unit.coordinator.tsung.elements import read, refused


def test_elements_know_their_lines_texts_and_attributes():
    root, notes = read('<tsung>\n<a x="1">one <b/>two</a>\n</tsung>')
    (a,) = root.children

    assert (root.name, root.line, notes) == ("tsung", 1, [])
    assert (a.name, a.line, a.attributes, a.text) == ("a", 2, {"x": "1"}, "one two")
    assert [child.name for child in a.children] == ["b"]


def test_notes_of_all_elements_are_in_one_list():
    root, notes = read("<tsung>\n<a/></tsung>")
    root.children[0].note("left out")

    assert [(note.line, note.text) for note in notes] == [(2, "left out")]


def test_a_plain_entity_is_put_in():
    root, _ = read('<!DOCTYPE tsung SYSTEM "tsung.dtd" [<!ENTITY who "ann">]><tsung>&who;</tsung>')

    assert root.text == "ann"


@pytest.mark.parametrize(
    ("xml", "line"),
    [
        ("<tsung>\n<a></tsung>", 2),
        ("", 1),
        ('<!DOCTYPE tsung [\n<!ENTITY a SYSTEM "/etc/passwd">]><tsung>&a;</tsung>', 2),
        ('<!DOCTYPE tsung [<!ENTITY a "b">\n<!ENTITY c "&a;&a;">]><tsung/>', 2),
        ('<!DOCTYPE tsung [\n<!ENTITY % a "b">]><tsung/>', 2),
        ('<!DOCTYPE tsung SYSTEM "x.dtd">\n<tsung>&who;</tsung>', 2),
        ("<!DOCTYPE tsung [\n%who;]><tsung/>", 2),
        (f'<!DOCTYPE tsung [\n<!ENTITY a "{"x" * (MAX_ENTITY + 1)}">]><tsung/>', 2),
        ("<tsung>\n" + "<a>" * MAX_DEPTH, 2),
        ('<?xml version="1.0" encoding="klingon"?><tsung/>', 1),
    ],
)
def test_what_is_no_document_is_refused_at_its_line(xml, line):
    assert refused(read, xml)[0] == line


def test_a_document_has_a_bound_also_with_its_entities():
    """Also where it grows by less than what expat itself refuses."""
    entity = f'<!DOCTYPE tsung [<!ENTITY a "{"x" * 60_000}">]>'
    padding = f"<!--{' ' * 1_000_000}-->"

    for grown in (f"{entity}<tsung>", f"{entity}{padding}<tsung>"):
        assert refused(read, f"{grown}{'&a;' * 300}</tsung>")[0] == 1
    assert "16 MiB" in refused(read_document, b" " * (MAX_BYTES + 1), "t.xml")[1]


@given(st.binary(max_size=100))
def test_no_bytes_fail_in_another_way(data):
    for document in (data, b"<tsung>" + data + b"</tsung>"):
        try:
            read_document(document, "t.xml")
        except TsungError as error:
            assert str(error).startswith("t.xml:")  # noqa: PT017 -- most bytes are no document
