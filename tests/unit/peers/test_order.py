from pathlib import Path

import pytest

from tests.peers.order import Order

PLAIN = Order("ws://127.0.0.1:80/", 1000, 300, 0.0, None, Path("."))
TLS = PLAIN._replace(url="wss://127.0.0.1:443/", authority=Path("ca.pem"), ping_every=0.25)


def test_an_order_of_wss_is_secure():
    assert (PLAIN.secure, TLS.secure) == (False, True)


def test_the_endpoint_is_the_url_without_scheme_and_path():
    assert TLS.endpoint == "127.0.0.1:443"


@pytest.mark.parametrize(("rate", "seconds"), [(300, 4), (250, 4), (20_000, 1)])
def test_a_ramp_has_whole_seconds(rate, seconds):
    assert PLAIN._replace(rate=rate).ramp_s == seconds


def test_scripts_have_the_order_in_their_environment():
    assert PLAIN.environment == {
        "PEER_URL": "ws://127.0.0.1:80/",
        "PEER_CONNECTIONS": "1000",
        "PEER_RATE": "300",
        "PEER_PING_EVERY": "0",
    }


def test_the_authority_is_where_programs_look_for_it():
    assert TLS.environment["SSL_CERT_FILE"] == TLS.environment["NODE_EXTRA_CA_CERTS"] == "ca.pem"


def test_a_template_is_filled_into_the_folder(tmp_path):
    order = PLAIN._replace(folder=tmp_path)

    file = order.filled("artillery.yml", ramp=4, think="600", send="")

    assert file.parent == tmp_path
    assert 'target: "ws://127.0.0.1:80/"' in file.read_text()
    assert "arrivalCount: 1000" in file.read_text()
