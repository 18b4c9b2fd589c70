"""The checks before anything is opened."""

import pytest

from coordinator.preflight import TargetAddress, check_embedded, check_listen, check_target
from loadgen.errors import OperatorError, PlanError
from loadgen.values import Endpoint


def test_a_target_has_the_address_that_its_url_names():
    assert check_target("ws://127.0.0.1:9505/x") == TargetAddress(
        "127.0.0.1", 9505, False, ("127.0.0.1",)
    )
    assert check_target("wss://127.0.0.1/x").port == 443
    assert check_target("ws://[::1]:80/").loopback
    assert str(check_target("ws://127.0.0.1/")) == "127.0.0.1 is 127.0.0.1, port 80"
    assert str(check_target("ws+unix:///no/such.sock")) == "Unix socket /no/such.sock"


def test_a_target_is_on_this_machine_where_all_its_addresses_are():
    far = TargetAddress("both.test", 80, False, ("127.0.0.1", "192.0.2.1", "::1"))
    assert str(far) == "both.test is 127.0.0.1, 192.0.2.1 and ::1, port 80"
    assert not far.loopback


@pytest.mark.parametrize(
    "url",
    [
        "http://a/",
        "ws://",
        "ws://:1/",
        "ws://a:b/",
        "ws://a:70000/",
        "",
        "ws://127.0.0.1:0/",
        "ws://127.0.0.1/a b",
        "ws://127.0.0.1/\r\nX: y",
        "ws://127.0.0.1/\0",
    ],
)
def test_a_url_that_names_no_target_is_an_error_with_the_fix(url):
    with pytest.raises(PlanError, match=r"write .*ws://HOST:PORT/PATH"):
        check_target(url)


def test_the_embedded_target_listens_on_loopback_without_tls():
    near = TargetAddress("localhost", 80, False, ("127.0.0.1",))
    check_embedded([near, TargetAddress("127.0.0.1", 80, False, ("127.0.0.1",))])
    with pytest.raises(PlanError, match="localhost:80, localhost:81; start loadgen-target there"):
        check_embedded([near, TargetAddress("localhost", 81, False, ("127.0.0.1",))])
    for target in (
        check_target("ws+unix:///run/app.sock"),
        TargetAddress("h", 443, True, ("127.0.0.1",)),
        TargetAddress("h", 80, False, ("192.0.2.1",)),
    ):
        with pytest.raises(PlanError):
            check_embedded([target])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "somewhere.example"])
def test_a_port_that_is_not_on_loopback_needs_a_token(host):
    with pytest.raises(OperatorError, match="--token-file"):
        check_listen(Endpoint(host, 1), None)
    check_listen(Endpoint(host, 1), "secret")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_port_on_loopback_needs_none(host):
    check_listen(Endpoint(host, 1), None)
