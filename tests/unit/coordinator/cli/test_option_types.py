"""The values that options take, and the complaints about other texts."""

import click
import pytest

from coordinator.cli.option_types import COMPRESS, FEEDER, HEADER, PARAM, PROXY, RECEIVER, WATCHED
from coordinator.influx.receiver import receiver_of
from coordinator.scrape import Watched
from loadgen.plan.compress import Compress


def test_a_watched_exporter_has_a_name_and_a_url():
    url = "http://10.0.0.2:9100/metrics"

    assert WATCHED.convert(f"server={url}", None, None) == Watched("server", url)


@pytest.mark.parametrize("text", ["server", "=http://10.0.0.2/", "server=", "server=10.0.0.2:9100"])
def test_other_text_is_no_watched_exporter_and_is_quoted(text):
    with pytest.raises(click.BadParameter) as caught:
        WATCHED.convert(text, None, None)

    assert f"{text!r} is not NAME=URL" in caught.value.message


def test_a_header_has_a_name_and_a_value():
    assert HEADER.convert("Authorization: Bearer a:b ", None, None) == (
        "Authorization",
        "Bearer a:b",
    )
    assert HEADER.convert("X-Empty:", None, None) == ("X-Empty", "")
    assert HEADER.convert(("X", "1"), None, None) == ("X", "1")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Bearer s3cret", "a header needs a colon; write 'Name: value'"),
        ("Upgrade: s3cret", "header 'Upgrade' belongs to the handshake"),
        ("Sec-WebSocket-Protocol: s3cret", "by the key `subprotocols`"),
        ("X-A: s3cret\r\nX-B: b", r"header 'X-A' has the character '\r' at place 6"),
        ("X A: s3cret", "has the name 'X A'"),
        (": s3cret", "has the name ''"),
    ],
)
def test_another_header_is_refused_without_its_value(text, why):
    with pytest.raises(click.BadParameter) as caught:
        HEADER.convert(text, None, None)

    assert why in caught.value.message
    assert "s3cret" not in caught.value.message


def test_an_offer_of_compression_has_parameters():
    offer = Compress(server_no_context_takeover=True, client_max_window_bits=9)

    assert COMPRESS.convert("on", None, None) is True
    assert COMPRESS.convert(False, None, None) is False
    assert COMPRESS.convert(offer, None, None) is offer
    assert COMPRESS.convert(offer.offer, None, None) == offer


def test_another_offer_is_refused_with_the_parameters():
    with pytest.raises(click.BadParameter) as caught:
        COMPRESS.convert("client_max_window_bits=8", None, None)

    assert "Expected `int` >= 9 in `client_max_window_bits`" in caught.value.message


def test_a_receiver_of_an_export_is_a_url():
    url = "http://127.0.0.1:8086/write?db=load"

    assert RECEIVER.convert(url, None, None) == receiver_of(url)


@pytest.mark.parametrize("text", ["127.0.0.1:8086", "http://127.0.0.1:8086"])
def test_other_text_is_no_receiver_and_is_quoted(text):
    with pytest.raises(click.BadParameter) as caught:
        RECEIVER.convert(text, None, None)

    assert f"{text!r}: it is not the URL of a receiver" in caught.value.message


def test_a_feeder_is_read_where_the_option_is(tmp_path):
    (tmp_path / "users.csv").write_text("id\nu0\n")
    feeder = FEEDER.convert(f"{tmp_path}/users.csv:random", None, None)

    assert (feeder.mode, feeder.count) == ("random", 1)
    assert FEEDER.convert(feeder, None, None) is feeder
    with pytest.raises(click.BadParameter, match=r"none\.csv: No such file or directory"):
        FEEDER.convert("none.csv", None, None)


def test_a_proxy_is_a_url_and_another_text_is_refused_without_its_password():
    url = "socks5://ann:s3cret@127.0.0.1:1080"

    assert PROXY.convert(url, None, None) == url
    with pytest.raises(click.BadParameter, match="the proxy ") as caught:
        PROXY.convert("ftp://ann:s3cret@127.0.0.1:1080", None, None)
    assert "s3cret" not in caught.value.message


def test_a_parameter_is_a_key_and_a_value():
    assert PARAM.convert("room=a=b", None, None) == ("room", "a=b")
    assert PARAM.convert(("room", "lobby"), None, None) == ("room", "lobby")
    assert PARAM.convert("empty=", None, None) == ("empty", "")
    assert PARAM.split_envvar_value("a=1 2\nb=3") == ["a=1 2", "b=3"]


@pytest.mark.parametrize("text", ["s3cret", "=s3cret", "a b=s3cret", "1=s3cret"])
def test_a_parameter_without_a_key_is_refused_and_its_value_not_shown(text):
    with pytest.raises(click.BadParameter, match="a parameter is KEY=VALUE") as caught:
        PARAM.convert(text, None, None)

    assert "s3cret" not in str(caught.value)
