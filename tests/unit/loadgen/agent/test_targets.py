"""The targets that an agent may load, and how it resolves them."""

import socket

import pytest

from loadgen.agent.targets import ReachedAddress, ResolvedTarget, ways_of
from loadgen.errors import PlanError
from loadgen.net.allowed import AllowedTargets
from loadgen.plan.proxy import ProxyUrl
from loadgen.wire import NO_SOURCES, Destination, Sources, Way

NO_ROUTE = "fe80::7"
"""An address of the link, of which it is not said on which."""
SOURCES = Sources(("127.0.0.1",), 1025, 65_535)


def test_a_destination_has_all_that_a_worker_has_to_know():
    target = ResolvedTarget.find("wss://127.0.0.1:9505/v1?a=b", ())

    assert target.reached == (ReachedAddress("127.0.0.1", ("127.0.0.1",)),)
    assert target.destination(lambda _: SOURCES) == Destination(
        url="wss://127.0.0.1:9505/v1?a=b",
        ways=(Way("127.0.0.1", SOURCES),),
        port=9505,
        name="127.0.0.1",
        host="127.0.0.1:9505",
        resource="/v1?a=b",
        secure=True,
    )


def test_only_sources_of_the_address_family_of_the_target_are_used():
    sources = ("127.0.0.2", "::1", "127.0.0.3")
    both = ResolvedTarget.find(
        "ws://rt.test/", sources, addresses_of=lambda *_: ("127.0.0.1", "::1")
    )
    assert both.reached == (
        ReachedAddress("127.0.0.1", ("127.0.0.2", "127.0.0.3")),
        ReachedAddress("::1", ("::1",)),
    )
    assert ways_of([both]) == 3
    one = ResolvedTarget.find(
        "ws://rt.test/", ("127.0.0.2",), addresses_of=lambda *_: ("::1", "127.0.0.1")
    )
    assert one.addresses == ("127.0.0.1",)
    assert one.notes == ()
    assert ways_of([both, one]) == 1


def test_an_address_without_a_route_is_left_out_with_a_note():
    target = ResolvedTarget.find(
        "ws://rt.test/", (), addresses_of=lambda *_: (NO_ROUTE, "127.0.0.1")
    )
    assert target.addresses == ("127.0.0.1",)
    (note,) = target.notes
    assert note.startswith(f"leaves out {NO_ROUTE} of rt.test: no route from here")
    with pytest.raises(PlanError, match=f"no route from here to {NO_ROUTE}"):
        ResolvedTarget.find("ws://rt.test/", (), addresses_of=lambda *_: (NO_ROUTE,))
    with pytest.raises(PlanError, match=r"leaves out .* of rt.test: no route from here"):
        ResolvedTarget.find("ws://rt.test/", (), addresses_of=lambda *_: (NO_ROUTE, NO_ROUTE))


def test_a_unix_socket_has_no_sources_and_has_to_be_named(tmp_path):
    path = str(tmp_path / "app.sock")
    with pytest.raises(PlanError, match="no way to the Unix socket"):
        ResolvedTarget.find(f"ws+unix://{path}:/x", ("127.0.0.2",))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        target = ResolvedTarget.find(f"ws+unix://{path}:/x", ("127.0.0.2",))
    assert target.reached == (ReachedAddress(path, ()),)
    assert ways_of([target]) == 0
    destination = target.destination(lambda _: NO_SOURCES)
    assert destination.is_unix
    assert (destination.host, destination.resource) == ("localhost", "/x")
    assert target.refusal(AllowedTargets(["localhost", "127.0.0.0/8", "/run/other.sock"])) == (
        f"refuses the Unix socket {path}: start the agent with --allow-target {path}"
    )
    assert target.refusal(AllowedTargets([path])) == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1/", "not a WebSocket URL"),
        ("ws://nowhere.invalid/", "does not resolve"),
        ("ws://[::1]/", "none of the agent's --source addresses"),
    ],
)
def test_a_target_that_cannot_be_reached_is_a_mistake(url, words):
    with pytest.raises(PlanError, match=words):
        ResolvedTarget.find(url, ("127.0.0.2",))


def test_a_target_off_loopback_has_to_be_allowed():
    target = ResolvedTarget(
        "ws://far.test/",
        ResolvedTarget.find("ws://127.0.0.1/", ()).parts,
        (ReachedAddress("127.0.0.1", ()), ReachedAddress("192.0.2.1", ("192.0.2.2",))),
    )

    assert "--allow-target" in target.refusal(AllowedTargets())
    assert target.refusal(AllowedTargets(["192.0.2.0/24"])) == ""


@pytest.mark.parametrize(
    ("answers", "allowed"), [(["10.0.0.5", "127.0.0.1"], False), (["127.0.0.1", "10.0.0.5"], True)]
)
def test_a_name_is_resolved_once(monkeypatch, answers, allowed):
    """The address that was allowed is the address that workers get.

    A resolver that changes its answer between the check and the dial (DNS rebinding) gains nothing.
    """
    waiting = list(answers)

    def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (waiting.pop(0), 80))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    target = ResolvedTarget.find("ws://rebinding.test/", ("127.0.0.2",))

    assert (target.refusal(AllowedTargets(["192.0.2.0/24"])) == "") == allowed
    assert target.destination(lambda _: SOURCES).addresses == (answers[0],)
    assert waiting == answers[1:]


@pytest.mark.parametrize(
    ("scheme", "host", "asked"),
    [
        ("http", "rt.nowhere.invalid", "rt.nowhere.invalid"),
        ("socks5h", "rt.nowhere.invalid", "rt.nowhere.invalid"),
        ("socks5h", "10.1.2.3", "10.1.2.3"),
        ("socks5", "localhost", "127.0.0.1"),
    ],
)
def test_a_worker_dials_the_proxy_and_asks_it_for_the_target(monkeypatch, scheme, host, asked):
    addresses = {"localhost": "127.0.0.1", "proxy.test": "127.0.0.9"}

    def answer(name: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[name], port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    proxy = ProxyUrl.parse(f"{scheme}://u:p@proxy.test:3128")
    target = ResolvedTarget.find(f"wss://{host}/v1", (), proxy)
    to = target.destination(lambda _: SOURCES)

    assert (to.addresses, to.port) == (("127.0.0.9",), 3128)
    assert (to.asked, to.asked_port) == (asked, 443)
    assert (to.name, to.host, to.secure) == (host, host, True)
    assert target.reached[0].sources == ("127.0.0.1",)


def test_a_proxy_that_does_not_resolve_is_a_mistake():
    proxy = ProxyUrl.parse("http://nowhere.invalid:3128")
    with pytest.raises(PlanError, match=r"proxy host 'nowhere\.invalid' does not resolve"):
        ResolvedTarget.find("ws://127.0.0.1/", (), proxy)


def test_only_sources_of_the_proxys_address_family_are_used():
    proxy = ProxyUrl.parse("http://u:s3cr3t@[::1]:3128")

    sources = ("127.0.0.2", "::1")
    assert ResolvedTarget.find("ws://127.0.0.1/", sources, proxy).reached[0].sources == ("::1",)
    with pytest.raises(PlanError, match=r"proxy .* is ::1: none of the agent's") as caught:
        ResolvedTarget.find("ws://127.0.0.1/", ("127.0.0.2",), proxy)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("proxy", "url", "allowed", "refused"),
    [
        ("http://127.0.0.1:1", "ws://10.0.0.1/", ("10.0.0.0/8",), ""),
        ("http://127.0.0.1:1", "ws://rt.test/", ("rt.test",), ""),
        ("http://127.0.0.1:1", "ws://rt.test/", ("0.0.0.0/0",), "target rt.test"),
        # Loopback beyond a proxy is that of another machine.
        ("http://127.0.0.1:1", "ws://127.0.0.1/", (), "target 127.0.0.1"),
        ("socks5://127.0.0.1:1", "ws://localhost/", (), "target localhost (127.0.0.1)"),
        ("socks5h://127.0.0.1:1", "ws://localhost/", ("localhost",), ""),
        ("http://192.0.2.1:1", "ws://10.0.0.1/", ("10.0.0.0/8",), "proxy 192.0.2.1"),
        ("http://192.0.2.1:1", "ws://10.0.0.1/", ("10.0.0.0/8", "192.0.2.1"), ""),
    ],
)
def test_both_the_proxy_and_the_target_have_to_be_allowed(proxy, url, allowed, refused):
    target = ResolvedTarget.find(url, ("127.0.0.2",), ProxyUrl.parse(proxy))
    refusal = target.refusal(AllowedTargets(allowed))

    assert refusal.startswith(f"refuses {refused}: " if refused else "")
    assert bool(refusal) == bool(refused)
