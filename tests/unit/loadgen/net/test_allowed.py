"""The places that may be loaded, and those that HTTP requests may go to."""

import pytest

from loadgen.errors import PlanError
from loadgen.net.allowed import AllowedHosts, AllowedTargets
from tests.unit.http_load import destination_of, hosts_of


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ((), "localhost", "127.0.0.1"),
        ((), "127.200.3.4", "127.200.3.4"),
        ((), "::1", "::1"),
        (("10.0.0.0/8",), "target", "10.1.2.3"),
        (("10.1.2.3",), "10.1.2.3", "10.1.2.3"),
        (("10.1.2.3/8",), "target", "10.200.0.1"),  # host bits are ignored
        (("2001:db8::/32",), "target", "2001:db8::7"),
        (("target.example",), "target.example", "192.0.2.1"),
        (("Target.Example",), "tARGET.eXAMPLE", "192.0.2.1"),
        (("10.0.0.0/8", " other "), "other", "192.0.2.1"),
        (("0.0.0.0/0",), "anything", "192.0.2.1"),
        ((), "::ffff:127.0.0.1", "::ffff:127.0.0.1"),  # IPv4 wrapped in IPv6
        (("10.0.0.0/8",), "::ffff:10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_loopback_and_allowed_targets_may_be_loaded(allowed, host, address):
    assert AllowedTargets(allowed).refusal(host, address) == ""


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ((), "192.0.2.1", "192.0.2.1"),
        ((), "0.0.0.0", "0.0.0.0"),
        (("10.0.0.0/8",), "target", "11.0.0.1"),
        (("example",), "target.example", "192.0.2.1"),  # a name is compared as a whole
        (("localhost",), "evil", "192.0.2.1"),
        (("0.0.0.0/0",), "target", "2001:db8::7"),
        (("::/0",), "target", "::ffff:192.0.2.1"),
    ],
)
def test_any_other_target_is_refused_with_the_fix(allowed, host, address):
    refusal = AllowedTargets(allowed).refusal(host, address)
    assert refusal.endswith(f"--allow-target {host}")
    assert host in refusal
    assert address in refusal
    assert "\n" not in refusal


def test_a_refused_name_is_shown_with_its_address():
    assert "target (192.0.2.1)" in AllowedTargets().refusal("target", "192.0.2.1")
    assert "192.0.2.1 (" not in AllowedTargets().refusal("192.0.2.1", "192.0.2.1")


def test_the_fix_of_a_refusal_is_enough():
    (proposed,) = (
        AllowedTargets().refusal("target.example", "192.0.2.1").partition("--allow-target ")[2:]
    )
    assert AllowedTargets((proposed,)).refusal("target.example", "192.0.2.1") == ""


@pytest.mark.parametrize(
    "text", ["", "  ", "10.0.0.0/33", "10.0.0.0/", "target/24", "http://target", "run/app.sock"]
)
def test_a_malformed_allowed_target_is_a_mistake_of_one_line(text):
    with pytest.raises(PlanError, match="neither a network") as caught:
        AllowedTargets((text,))
    assert "\n" not in str(caught.value)


HOSTS = hosts_of(
    destination_of(80, "Chat.test"), allowed=("10.1.0.0/16", "Api.test", "2001:db8::/32")
)


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("chat.test", "192.0.2.1", True),
        ("CHAT.TEST", "192.0.2.1", True),
        ("api.test", "192.0.2.2", True),
        ("other.test", "192.0.2.3", False),
        ("other.test", "10.1.2.3", True),
        ("10.2.0.1", "10.2.0.1", False),
        ("127.0.0.5", "127.0.0.5", True),
        ("fe80::1%lo", "fe80::1%lo", False),
    ],
)
def test_requests_may_go_to_targets_and_to_what_the_agent_allows(host, address, allowed):
    assert (HOSTS.refusal(host, address) == "") is allowed


def test_a_target_has_the_addresses_that_its_name_has_now():
    now = [destination_of(80, "chat.test")]
    hosts = AllowedHosts(lambda: now, AllowedTargets())
    assert hosts.target("chat.test") is now[0]

    now[0] = destination_of(81, "chat.test")

    assert hosts.target("Chat.Test") is now[0]
    assert hosts.target("other.test") is None


def test_an_agent_hands_what_it_allows_to_its_workers():
    texts = ("10.0.0.0/8", "Api.test", "/run/app.sock")

    handed = AllowedTargets(AllowedTargets(texts).texts)

    assert handed.refusal("x", "10.1.2.3") == handed.refusal("api.test", "192.0.2.1") == ""
    assert handed.path_refusal("/run/app.sock") == ""
