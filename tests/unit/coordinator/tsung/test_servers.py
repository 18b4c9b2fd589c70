"""<servers>: where the load goes."""

import pytest

from coordinator.tsung.servers import TsungServer, base_of_url, read_servers
from loadgen.errors import PlanError
from tests.unit.coordinator.tsung.elements import read, refused


def servers(*inner: str):
    """Returns the servers, each on a line of its own, and the lines of the notes."""
    root, notes = read("\n".join(["<servers>", *inner, "</servers>"]))
    return read_servers(root), [note.line for note in notes]


def server(host: str = "a", port: str = "80", kind: str = "tcp", more: str = "") -> str:
    return f'<server host="{host}" port="{port}" type="{kind}" {more}/>'


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("tcp", "ws://a:80"),
        ("ssl", "wss://a:80"),
        ("websocket", "ws://a:80"),
        ("wss", "wss://a:80"),
    ],
)
def test_the_type_of_a_server_says_how_it_is_spoken_to(kind, base):
    assert servers(server(kind=kind)) == ([TsungServer(base, 1)], [])


def test_an_address_of_ipv6_stands_in_brackets():
    assert servers(server("fd00::1", kind="tcp6")) == ([TsungServer("ws://[fd00::1]:80", 1)], [])


def test_the_first_address_of_a_name_may_be_of_ipv4():
    assert servers(server(kind="tcp6"))[1] == [2]


def test_a_server_that_stands_there_twice_has_both_weights():
    found, _ = servers(server(more='weight="2"'), server("b"), server())

    assert found == [TsungServer("ws://a:80", 3), TsungServer("ws://b:80", 1)]


@pytest.mark.parametrize(
    "xml",
    [
        "<host/>",
        server(kind="udp"),
        server("a/b"),
        server("fd00::1::2"),
        server(port="0"),
        server(port="65536"),
        server(more='weight="0"'),
    ],
)
def test_what_is_no_server_is_refused_at_its_line(xml):
    assert refused(servers, xml)[0] == 2


def test_there_is_at_least_one_server():
    assert refused(servers)[0] == 1


def test_a_server_that_replaces_all_has_no_path():
    assert base_of_url("ws://a:1") == base_of_url("ws://a:1/") == "ws://a:1"
    assert base_of_url("wss://a:1") == "wss://a:1"
    with pytest.raises(PlanError, match="without a path"):
        base_of_url("ws://a:1/live")
