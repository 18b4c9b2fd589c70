"""Attributes are read as what they are to be, or refused at their line."""

import pytest

from coordinator.tsung.element import Element, Note, TsungError
from tests.unit.coordinator.tsung.elements import read, refused


def element(**attributes: str) -> Element:
    return Element("t.xml", 7, "a", attributes, [])


def test_an_attribute_that_is_needed_is_there_and_not_empty():
    assert element(x="y").need("x") == "y"
    for wrong in (element(), element(x="")):
        assert refused(wrong.need, "x")[0] == 7


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), (" -2.5 ", -2.5), ("+1e3", 1000), ("1.5E-1", 0.15)]
)
def test_a_number_is_written_in_decimal(text, number):
    assert element(x=text).number("x") == number


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999", "0x1", "1,5", "1."])
def test_what_is_no_finite_number_is_refused(text):
    line, why = refused(lambda: element(x=text).number("x"))

    assert line == 7
    assert repr(text) in why


def test_a_number_may_have_a_default_and_a_bound():
    assert element().number("x", 3.0) == 3.0
    assert element(x="0.1").number("x", above=0.0) == 0.1
    assert "above 0" in refused(element(x="0").number, "x", above=0.0)[1]


def test_a_whole_number_may_have_a_default_and_a_bound():
    assert element(x=" 12 ").integer("x") == 12
    assert element().integer("x", 3) == 3
    assert element(x="-5").integer("x", least=None) == -5
    for text in ("-1", "1.0", "", "9" * 19):
        assert "from 0" in refused(element(x=text).integer, "x")[1]
    assert "from" not in refused(element(x="x").integer, "x", least=None)[1]


@pytest.mark.parametrize("text", ["1,000,000", "1_000_000", "1e6"])
def test_a_whole_number_in_another_spelling_is_answered_with_its_digits(text):
    assert refused(element(x=text).integer, "x")[1].endswith("; write 1000000")
    if text != "1e6":
        assert refused(element(x=text).number, "x")[1].endswith("; write 1000000")
    assert refused(element(x="1e99").integer, "x")[1].endswith("; write one")
    assert refused(element(x="many").number, "x")[1].endswith("; write one")


def test_a_choice_is_one_of_the_words():
    assert element(x="b").choice("x", ("a", "b")) == "b"
    assert element().choice("x", ("a", "b"), "a") == "a"
    assert "a, b" in refused(element(x="c").choice, "x", ("a", "b"), "a")[1]


def test_a_flag_is_true_or_false():
    assert element(x="true").flag("x")
    assert not element(x="false").flag("x", default=True)
    assert element().flag("x", default=True)
    assert not element().flag("x")
    assert refused(element(x="yes").flag, "x")[0] == 7


@pytest.mark.parametrize(
    ("unit", "seconds"), [("millisecond", 0.002), ("second", 2), ("minute", 120), ("hour", 7200)]
)
def test_a_duration_is_in_the_units_of_tsung(unit, seconds):
    assert element(x="2", unit=unit).seconds("x") == seconds
    assert element(x="2").seconds("x", unit) == seconds
    assert refused(element(x="2", unit="day").seconds, "x")[0] == 7


def test_refusals_are_kept_where_there_is_a_list_for_them():
    kept: list[TsungError] = []
    first, second = (Element("t.xml", line, "a", {}, [], kept) for line in (7, 9))
    for one in (second, first):
        with one.refusing():
            one.need("x")

    assert [(error.line, str(error)[:8]) for error in kept] == [(9, "t.xml:9:"), (7, "t.xml:7:")]
    assert (first.refused, element().refused) == (2, 0)


def test_without_a_list_the_first_refusal_ends_the_reading():
    def reading():
        with element().refusing():
            element().need("x")

    assert refused(reading)[0] == 7


def test_unknown_attributes_are_noted():
    notes: list[Note] = []
    Element("t.xml", 7, "a", {"x": "1", "colour": "red"}, notes).only("x")

    assert [(note.line, "'colour'" in note.text) for note in notes] == [(7, True)]


def test_elements_are_found_by_name_and_in_the_order_of_the_file():
    root = element()
    first, second = Element("t.xml", 8, "b", {}, []), Element("t.xml", 9, "c", {}, [])
    inner = Element("t.xml", 8, "c", {}, [])
    root.children += [first, second]
    first.children.append(inner)

    assert root.all("c") == [second]
    assert list(root.walk()) == [root, first, inner, second]


def test_a_note_is_made_once():
    root, notes = read("<a><b/></a>")
    for each in root.walk():
        each.note_once("same")
    root.note_once("other")

    assert [note.text for note in notes] == ["same", "other"]
