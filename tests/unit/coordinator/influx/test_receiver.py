"""The receivers that `--export` names: their addresses, names and credentials."""

import pytest

from coordinator.influx.receiver import LineReceiver, receiver_of


@pytest.mark.parametrize(
    ("text", "receiver"),
    [
        (
            "http://h:8086/write?db=load&precision=ms#x",
            LineReceiver("http://h:8086/write?db=load&precision=s", ""),
        ),
        (
            "https://ann:s%40crt@h/write",
            LineReceiver("https://h/write?precision=s", "Basic YW5uOnNAY3J0"),
        ),
        (
            "http://:t0k=n@h/api/v2/write?org=o&bucket=b",
            LineReceiver("http://h/api/v2/write?org=o&bucket=b&precision=s", "Token t0k=n"),
        ),
    ],
)
def test_a_receiver_is_an_address_and_its_credentials(text, receiver):
    assert receiver_of(text) == receiver


def test_the_name_of_a_receiver_has_no_secret():
    assert receiver_of("http://u:secret@h/write?u=u&p=secret").name == "http://h/write"


@pytest.mark.parametrize(
    "text", ["", "h:8086", "influx://h/write", "http://h:8086/", "http://:1/w"]
)
def test_another_text_is_no_receiver(text):
    with pytest.raises(ValueError, match="http://HOST:8086/write"):
        receiver_of(text)
