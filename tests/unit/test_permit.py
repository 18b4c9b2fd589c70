"""Which targets may be loaded."""

import pytest

from loadgen.errors import PlanError
from loadgen.permit import Permit


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ((), "localhost", "127.0.0.1"),
        ((), "127.200.3.4", "127.200.3.4"),
        ((), "::1", "::1"),
        (("10.0.0.0/8",), "target", "10.1.2.3"),
        (("10.1.2.3",), "10.1.2.3", "10.1.2.3"),
        (("10.1.2.3/8",), "target", "10.200.0.1"),  # host bits are no reason to quarrel
        (("2001:db8::/32",), "target", "2001:db8::7"),
        (("target.example",), "target.example", "192.0.2.1"),
        (("Target.Example",), "tARGET.eXAMPLE", "192.0.2.1"),
        (("10.0.0.0/8", " other "), "other", "192.0.2.1"),
        (("0.0.0.0/0",), "anything", "192.0.2.1"),
        ((), "::ffff:127.0.0.1", "::ffff:127.0.0.1"),  # IPv4 dressed up as IPv6
        (("10.0.0.0/8",), "::ffff:10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_loopback_and_what_the_owner_named_may_be_loaded(allowed, host, address):
    assert Permit(allowed).refusal(host, address) == ""


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ((), "192.0.2.1", "192.0.2.1"),
        ((), "0.0.0.0", "0.0.0.0"),
        (("10.0.0.0/8",), "target", "11.0.0.1"),
        (("example",), "target.example", "192.0.2.1"),  # a name is a name, no suffix
        (("localhost",), "evil", "192.0.2.1"),
        (("0.0.0.0/0",), "target", "2001:db8::7"),
        (("::/0",), "target", "::ffff:192.0.2.1"),
    ],
)
def test_anything_else_is_refused_with_the_mend(allowed, host, address):
    refusal = Permit(allowed).refusal(host, address)
    assert refusal.endswith(f"--allow-target {host}")
    assert host in refusal
    assert address in refusal
    assert "\n" not in refusal


def test_a_name_that_resolves_elsewhere_shows_where():
    assert "target (192.0.2.1)" in Permit().refusal("target", "192.0.2.1")
    assert "192.0.2.1 (" not in Permit().refusal("192.0.2.1", "192.0.2.1")


def test_what_a_refusal_proposes_is_enough():
    (proposed,) = Permit().refusal("target.example", "192.0.2.1").partition("--allow-target ")[2:]
    assert Permit((proposed,)).refusal("target.example", "192.0.2.1") == ""


@pytest.mark.parametrize("text", ["", "  ", "10.0.0.0/33", "10.0.0.0/", "target/24", "http://target"])
def test_what_is_neither_network_nor_name_is_one_line(text):
    with pytest.raises(PlanError, match="neither a network") as caught:
        Permit((text,))
    assert "\n" not in str(caught.value)
