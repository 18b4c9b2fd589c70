"""<options>: what holds for all sessions."""

from pathlib import Path

import pytest

from coordinator.tsung.options import (
    NOT_HERE,
    ClientCertificate,
    JabberOptions,
    Options,
    ThinkDefault,
)
from tests.unit.coordinator.tsung.elements import read, refused


def options(inner: str, folder: Path = Path(), *, over_websocket: bool = True):
    """Returns what options say, and the lines of the notes."""
    root, notes = read(f"<options>\n{inner}</options>")
    found = Options(folder)
    found.read(root, over_websocket=over_websocket)
    return found, [note.line for note in notes]


def option(name: str, words: str = "") -> str:
    return f'<option name="{name}" {words}/>'


@pytest.mark.parametrize(
    ("xml", "transport"),
    [
        (option("connect_timeout", 'value="500"'), {"connect_timeout": 0.5}),
        (option("idle_timeout", 'value="600000"'), {"receive_timeout": 600}),
        (option("tcp_rcv_buffer", 'value="1024"'), {"receive_buffer": 1024}),
        (option("tcp_snd_buffer"), {"send_buffer": 32768}),
        (option("ports_range", 'min="2000" max="3000"'), {"ports": "2000-3000"}),
        (option("ports_range"), {"ports": "1025-65534"}),
        (option("ports_range", 'value="off"'), {}),
        (option("ssl_ciphers", 'value="a,b"'), {"tls_ciphers": "a:b"}),
        (option("ssl_ciphers", 'value="negotiate"'), {}),
        (option("ssl_versions", "value=\"'tlsv1.3'\""), {"tls_versions": ("tlsv1.3",)}),
        (option("ssl_versions", 'value="negotiate"'), {}),
        (option("ssl_disable_sni", 'value="true"'), {"tls_server_name": False}),
        (option("ip_transparent", 'value="false"'), {}),
    ],
)
def test_an_option_of_connections_is_one_of_the_transport(xml, transport):
    found, notes = options(xml)

    assert (found.transport, notes) == (transport, [])


@pytest.mark.parametrize(
    ("xml", "field", "value"),
    [
        (option("seed", 'value="-5"'), "seed", -5),
        (option("global_number", 'value="7"'), "together", 7),
        (option("rate_limit", 'value="2"'), "read_rate", 2048),
        (option("rate_limit"), "read_rate", 512 * 1024),
        (option("websocket_path", 'value="/live"'), "path", "/live"),
        (option("websocket_frame", 'value="text"'), "frame", "text"),
        (option("websocket_subprotocols", 'value="v1"'), "subprotocols", "v1"),
        (option("websocket_origin", 'value="http://a"'), "origin", "http://a"),
        (option("thinktime", 'value="3" random="true"'), "think", ThinkDefault(3.0, random=True)),
        (
            option("thinktime", 'min="1" max="2" override="true"'),
            "think",
            ThinkDefault(5.0, range=(1.0, 2.0), override=True),
        ),
    ],
)
def test_an_option_of_sessions_is_known_by_its_own_name(xml, field, value):
    found, notes = options(xml)

    assert (getattr(found, field), notes) == (value, [])


@pytest.mark.parametrize(
    "xml",
    [
        *(option(name) for name in NOT_HERE),
        option("dance"),
        option("user_agent", 'type="ts_http"'),
        option("rate_limit", 'value="2" max="3"'),
    ],
)
def test_what_is_left_out_is_noted(xml):
    assert options(xml)[1] == [2]


def test_options_of_xmpp_replace_its_defaults():
    found, notes = options(
        option("domain", 'type="ts_jabber" value="d"')
        + option("userid_max", 'type="ts_jabber" value="7"')
    )

    assert (found.jabber, notes) == (JabberOptions(domain="d", userid_max=7), [])
    assert options(option("vhost_file", 'type="ts_jabber"'))[1] == [2]


def test_a_certificate_is_two_files_beside_the_configuration():
    element, notes = read('<certificate certfile="a" keyfile="/b" cacertfile="c"/>')

    assert Options(Path("/d")).certificate_of(element) == ClientCertificate("/d/a", "/b")
    assert len(notes) == 1


@pytest.mark.parametrize("words", ["", 'certfile="a" keypass="b"', 'certfile="%%_a%%"'])
def test_a_certificate_that_agents_can_not_show_is_refused(words):
    element, _ = read(f"<certificate {words}/>")

    assert refused(Options(Path()).certificate_of, element)[0] == 1


def test_options_of_websocket_servers_need_one():
    found, notes = options(option("websocket_path", 'value="/live"'), over_websocket=False)

    assert (found.path, notes) == ("/", [2])


@pytest.mark.parametrize(
    "xml",
    [
        "<dance/>",
        "<option/>",
        option("thinktime", 'min="2" max="1"'),
        option("thinktime", 'value="0"'),
        option("ports_range", 'min="80"'),
        option("ports_range", 'min="2000" max="1999"'),
        option("ssl_versions", 'value="sslv3"'),
        option("ip_transparent", 'value="true"'),
        option("connect_timeout", 'value="0"'),
        option("file_server", 'value="nowhere.csv"'),
    ],
)
def test_what_is_no_option_is_refused_at_its_line(xml):
    assert refused(options, xml)[0] == 2


def test_a_file_of_values_goes_into_the_plan(tmp_path):
    (tmp_path / "users.csv").write_text("ann;1\nbob;2\n")
    xml = option("file_server", 'id="u" value="users.csv"') + option(
        "local_file_server", 'value="users.csv"'
    )
    found, _ = options(xml, tmp_path)

    assert found.files == dict.fromkeys(("u", "local default"), "ann;1\nbob;2\n")
    assert found.file_ids == {
        ("file_server", "u"): "u",
        ("local_file_server", "default"): "local default",
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\n\n", "empty"), (b"\xff", "UTF-8"), (b"a" * (16 * 1024 * 1024 + 1), "16 MiB")],
)
def test_a_file_without_usable_lines_is_refused(tmp_path, data, words):
    (tmp_path / "users.csv").write_bytes(data)

    assert words in refused(options, option("file_server", 'value="users.csv"'), tmp_path)[1]
