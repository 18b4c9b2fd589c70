"""The checks before anything is opened."""

import pytest

from coordinator.preflight import (
    TargetAddress,
    check_listen,
    check_proxy,
    check_target,
    ignored_proxy,
)
from loadgen.errors import OperatorError, PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.proxy import ProxyUrl
from loadgen.plan.transport import Transport
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


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "somewhere.example"])
def test_a_port_that_is_not_on_loopback_needs_a_token(host):
    with pytest.raises(OperatorError, match="--token-file"):
        check_listen(Endpoint(host, 1), None)
    check_listen(Endpoint(host, 1), "secret")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_port_on_loopback_needs_none(host):
    check_listen(Endpoint(host, 1), None)


def test_a_name_that_a_proxy_resolves_is_not_looked_up_here():
    name = "wss://rt.nowhere.invalid/x"
    beyond = TargetAddress("rt.nowhere.invalid", 443, True, ())

    for scheme in ("http", "socks5h"):
        assert check_target(name, ProxyUrl.parse(f"{scheme}://proxy:1")) == beyond
    assert not beyond.loopback
    assert check_target("ws://127.0.0.1/", ProxyUrl.parse("http://proxy:1")).loopback
    with pytest.raises(PlanError, match="does not resolve"):
        check_target(name, ProxyUrl.parse("socks5://proxy:1"))


def test_a_name_that_agents_elsewhere_resolve_is_a_warning_here():
    name = "ws://rt.nowhere.invalid:81/x"
    with pytest.raises(PlanError, match="does not resolve"):
        check_target(name)

    found = check_target(name, elsewhere=True)
    assert (found.host, found.port, found.addresses, found.loopback) == (
        "rt.nowhere.invalid",
        81,
        (),
        False,
    )
    assert str(found) == "rt.nowhere.invalid is resolved by the agents, port 81"
    assert found.unresolved.startswith("on this machine, target host 'rt.nowhere.invalid' does not")
    assert found.unresolved.endswith(
        "check its spelling if the agents, which resolve it where they are, refuse it too"
    )
    assert check_target("ws://127.0.0.1/", elsewhere=True).unresolved == ""
    with pytest.raises(PlanError, match="WebSocket URL"):
        check_target("http://127.0.0.1/", elsewhere=True)

    beyond = Plan(transport=Transport(proxy="http://proxy.nowhere.invalid:3128"))
    found = check_proxy(beyond, elsewhere=True)
    assert found.unresolved.startswith("on this machine, proxy host 'proxy.nowhere.invalid'")


def test_a_proxy_has_to_resolve():
    near = Plan(transport=Transport(proxy="http://127.0.0.1:3128"))
    far = Plan(transport=Transport(proxy="http://nowhere.invalid:3128"))

    assert check_proxy(Plan()) is None
    assert check_proxy(near) == TargetAddress("127.0.0.1", 3128, False, ("127.0.0.1",))
    with pytest.raises(PlanError, match=r"proxy host 'nowhere\.invalid' does not resolve"):
        check_proxy(far)


@pytest.mark.parametrize(
    ("url", "environ", "named"),
    [
        ("wss://rt.test/", {"HTTPS_PROXY": "http://p:1"}, "HTTPS_PROXY"),
        ("wss://rt.test/", {"https_proxy": "http://p:1", "ALL_PROXY": "x"}, "https_proxy"),
        ("ws://rt.test/", {"HTTP_PROXY": "http://p:1"}, "HTTP_PROXY"),
        ("ws://rt.test/", {"all_proxy": "socks5://p:1"}, "all_proxy"),
        ("ws://rt.test/", {"HTTPS_PROXY": "http://p:1"}, ""),
        ("wss://rt.test/", {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": ""}, ""),
        ("wss://rt.test/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".test"}, ""),
        ("wss://rt.test/", {"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, ""),
        ("wss://rt.test/", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "other"}, "HTTPS_PROXY"),
        ("ws://127.0.0.1/", {"HTTP_PROXY": "http://p:1"}, ""),
        ("ws://[::1]/", {"HTTP_PROXY": "http://p:1"}, ""),
        ("ws://localhost/", {"HTTP_PROXY": "http://p:1"}, ""),
        ("ws://rt.test/", {}, ""),
    ],
)
def test_a_proxy_of_the_environment_that_would_apply_is_named(url, environ, named):
    line = ignored_proxy(Plan(target=url), environ)

    assert line.startswith(f"{named} of the environment is ignored" if named else "")
    assert line.endswith(f'--proxy "${named}" sends them through it' if named else "")
    assert bool(line) == bool(named)
    used = Plan(target=url, transport=Transport(proxy="http://p:1"))
    assert ignored_proxy(used, environ) == ""
