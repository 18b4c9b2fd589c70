"""<http> as a step of a script."""

from pathlib import Path

import pytest

from coordinator.tsung.http_request import HttpRequests
from coordinator.tsung.options import Options
from loadgen.plan.script import HttpStep
from tests.unit.coordinator.tsung.elements import read, refused

SHARED = (
    "the users of a worker share its connections for HTTP, where each has one of its own in Tsung"
)


def requests(*xml: str, subst: str = "true", folder: Path = Path(), **transport):
    """Returns the steps of requests of one session, and the notes on them."""
    options = Options(folder)
    options.transport = transport
    reader = HttpRequests(options)
    steps, noted = [], []
    for one in xml:
        element, notes = read(one)
        steps.append(reader.read(element, subst, {}))
        noted += [note.text for note in notes if note.text != SHARED]
    return steps, noted


def step(**fields) -> HttpStep:
    return HttpStep(**{"redirects": False, "timeout": 600.0, "subst": True} | fields)


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ('<http url="/a?b=%%_c%%"/>', step(url="/a?b=%%_c%%")),
        (
            '<http url="/a" method="POST" contents="x=%%ts_user_server:get_unique_id%%"/>',
            step(
                url="/a",
                method="POST",
                text="x=%%_tsung_userid%%",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            ),
        ),
        (
            '<http url="/a" method="PUT" content_type="application/json" contents="{}">'
            '<http_header name="content-type" value="text/plain"/>'
            '<http_header name="X-A" value="%%_b%%"/><soap action="urn:x"/>'
            '<add_cookie key="a" value="1"/><add_cookie key="b" value="%%_c%%"/></http>',
            step(
                url="/a",
                method="PUT",
                text="{}",
                headers={
                    "content-type": "text/plain",
                    "X-A": "%%_b%%",
                    "SOAPAction": '"urn:x"',
                    "Cookie": "a=1; b=%%_c%%",
                },
            ),
        ),
        (
            '<http url="/a" if_modified_since="Fri, 14 Nov 2003 02:43:31 GMT">'
            '<www_authenticate userid="u%%_n%%" passwd="p"/></http>',
            step(
                url="/a",
                headers={"If-Modified-Since": "Fri, 14 Nov 2003 02:43:31 GMT"},
                auth=("u%%_n%%", "p"),
            ),
        ),
        (
            '<http url="/a"><http_header name="X" value="ab" encoding="base64"/></http>',
            step(url="/a", headers={"X": "YWI="}),
        ),
        ('<http url="%%_next%%"/>', step(url="%%_next%%")),
    ],
)
def test_a_request_becomes_a_step(xml, expected):
    assert requests(xml)[0] == [expected]


def test_a_reply_is_awaited_as_long_as_the_options_say():
    assert requests('<http url="/"/>', receive_timeout=5.0)[0][0].timeout == 5
    assert requests('<http url="/"/>', receive_timeout=1e6)[0][0].timeout == 86_400


def test_a_path_belongs_to_the_host_of_the_last_whole_url():
    steps, notes = requests(
        '<http url="/a"/>', '<http url="https://b:81/c?d"/>', '<http url="/e"/>', subst="false"
    )

    assert [one.url for one in steps] == ["/a", "https://b:81/c?d", "https://b:81/e"]
    assert notes == ["agents need --allow-target for hosts that are no target of the plan"]
    reader = HttpRequests(Options(Path()))
    for url in ("http://b/", "/c"):
        found = reader.read(read(f'<http url="{url}"/>')[0], "false", {}).url
        reader.changed()
    assert found == "/c"
    assert requests('<http url="http://%%_h%%/"/>', '<http url="/e"/>')[0][1].url == "/e"


def test_a_body_may_be_in_a_file(tmp_path):
    (tmp_path / "body.txt").write_text("a=1")
    xml = '<http url="/" method="POST" contents_from_file="body.txt"/>'

    assert requests(xml, folder=tmp_path)[0][0].text == "a=1"
    assert "can't be read" in refused(requests, xml)[1]
    (tmp_path / "body.txt").write_bytes(b"\xff")
    assert "not UTF-8" in refused(requests, xml, folder=tmp_path)[1]


def test_what_is_sent_in_another_way_is_noted():
    assert len(requests('<http url="/" version="1.0"/>')[1]) == 1
    assert len(requests('<http url="/" contents="a"/>')[1]) == 1


@pytest.mark.parametrize(
    "inner",
    [
        '<http url="/" method="PROPFIND"/>',
        '<http url="index.html"/>',
        "<http/>",
        '<http url="/"><dance/></http>',
        '<http url="/"><oauth consumer_key="a" consumer_secret="b"/></http>',
        '<http url="/"><www_authenticate userid="a" passwd="b" type="digest"/></http>',
    ],
)
def test_what_no_script_can_send_is_refused(inner):
    refused(requests, inner)


def test_a_body_whose_variables_stay_is_refused():
    xml = '<http url="/%%_a%%" method="POST" contents="{}"/>'

    assert requests(xml.format("x"), subst="all_except_body")[0][0].subst
    assert "all_except_body" in refused(requests, xml.format("%%_b%%"), subst="all_except_body")[1]
