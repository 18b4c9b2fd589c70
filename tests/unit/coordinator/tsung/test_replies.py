"""<match> and <dyn_variable> as parts of a step."""

import re

import pytest

from coordinator.tsung.replies import read_extract, read_match
from loadgen.plan.script import Extract, Match
from tests.unit.coordinator.tsung.elements import read, refused


def match(xml: str, kind="message"):
    element, notes = read(xml)
    return read_match(element, kind, 0), [note.text for note in notes]


def extract(xml: str, kind="message"):
    element, notes = read(xml)
    return read_extract(element, kind), [note.text for note in notes]


def test_a_match_has_tsungs_defaults():
    assert match("<match>\n ok \n</match>")[0] == Match(pattern="ok")
    assert match('<match do="log">a</match>')[1] == [
        "do=log is written to the agents' logs, a few a second, instead of a file of its own"
    ]
    assert match(
        '<match do="loop" when="nomatch" max_loop="2" sleep_loop="1" name="m" subst="true">'
        "%%_a%%</match>"
    )[0] == Match(
        pattern="%%_a%%",
        when="nomatch",
        do="loop",
        max_loop=2,
        sleep_loop=1.0,
        name="m",
        subst=True,
    )


def test_a_match_of_an_http_reply_sees_its_head_unless_it_skips_it():
    assert match("<match>200 OK</match>", "http")[0].form == "http"
    assert match('<match skip_headers="http">a</match>', "http")[0].form == "text"


def test_a_variable_is_found_by_an_expression_a_path_or_a_header():
    field, _ = extract('<dyn_variable name="f"/>')

    assert "name=[\"']f[\"']" in field.expr
    assert extract('<dyn_variable name="a" re="b(.)" decode="html_entities"/>', "http")[
        0
    ] == Extract(var="a", expr="b(.)", decode=True, form="http")
    assert extract('<dyn_variable name="c" jsonpath="d.e"/>')[0] == Extract(
        var="c", by="jsonpath", expr="d.e"
    )
    for kind in ("connect", "http"):
        assert extract('<dyn_variable name="c" header="X-A"/>', kind) == (
            Extract(var="c", by="header", expr="X-A"),
            [],
        )
    assert len(extract('<dyn_variable name="c" re="(.)"/>', "connect")[1]) == 1


@pytest.mark.parametrize(
    ("xml", "call"),
    [
        ('<match apply_to_content="f">a</match>', match),
        ('<match do="dance">a</match>', match),
        ('<dyn_variable name="a" xpath="b"/>', extract),
        ('<dyn_variable name="a" pgsql_expr="b"/>', extract),
        ('<dyn_variable name="a" regexp="b"/>', extract),
        ('<dyn_variable name="a" header="b"/>', extract),
        ('<dyn_variable re="b"/>', extract),
    ],
)
def test_what_no_reply_has_is_refused(xml, call):
    assert refused(call, xml)[0] == 1


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('Digest realm="a", nonce="x 1", qop="auth"', "x"),
        ("Digest nonce=y,realm=a", "y"),
        ('Digest cnonce="z"', None),
    ],
)
def test_a_part_of_a_header_is_found_in_the_head_of_an_http_reply(line, value):
    found, _ = extract('<dyn_variable name="a" header="www-authenticate/nonce"/>', "http")
    match = re.search(found.expr, f"HTTP/1.1 401\r\nWWW-Authenticate: {line}\r\n\r\nnonce=1")

    assert (match and match[1], found.form) == (value, "http")


def test_a_part_of_a_header_of_a_connect_is_refused():
    line, said = refused(extract, '<dyn_variable name="a" header="b/c"/>', "connect")

    assert (line, "take it apart" in said) == (1, True)
