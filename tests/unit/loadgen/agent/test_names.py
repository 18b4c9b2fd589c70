"""Names that change while a run goes on."""

import pytest

from loadgen.agent.names import Names, resolve_all
from loadgen.errors import PlanError
from loadgen.net.allowed import AllowedTargets

URLS = ("ws://rt.test/a", "ws://rt.test/b", "ws://127.0.0.1/")


class FakeDns:
    """A resolver whose answers the test gives."""

    def __init__(self, *answer: str) -> None:
        self.answer = answer
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int, what: str) -> tuple[str, ...]:
        self.asked.append((host, port))
        if not self.answer:
            raise PlanError(f"target host {host!r} does not resolve")
        return (host,) if host[0].isdigit() else self.answer


def names(dns: FakeDns, *allowed: str) -> Names:
    """Returns the names of URLS, resolved once."""
    targets = resolve_all(URLS, ("127.0.0.9",), addresses_of=dns)
    return Names(targets, ("127.0.0.9",), AllowedTargets(allowed), addresses_of=dns)


def addresses(found: Names) -> list[tuple[str, ...]]:
    return [target.addresses for target in found.targets]


def test_a_name_of_several_urls_is_asked_for_once():
    dns = FakeDns("127.0.0.2", "127.0.0.3")
    found = names(dns)
    assert dns.asked == [("rt.test", 80), ("127.0.0.1", 80)]
    assert addresses(found) == [dns.answer, dns.answer, ("127.0.0.1",)]
    assert found.look() == []
    assert len(dns.asked) == 4


def test_a_change_is_said_once_and_taken_for_every_url():
    dns = FakeDns("127.0.0.2")
    found = names(dns)
    dns.answer = ("127.0.0.3", "127.0.0.4")
    assert found.look() == ["rt.test is 127.0.0.3, 127.0.0.4 now, and no longer 127.0.0.2"]
    assert addresses(found) == [dns.answer, dns.answer, ("127.0.0.1",)]
    assert found.look() == []


def test_another_order_is_no_change():
    dns = FakeDns("127.0.0.2", "127.0.0.3")
    found = names(dns)
    dns.answer = ("127.0.0.3", "127.0.0.2")
    assert found.look() == []
    assert addresses(found)[0] == ("127.0.0.2", "127.0.0.3")


def test_a_name_that_is_gone_keeps_its_addresses_and_is_said_to_once():
    dns = FakeDns("127.0.0.2")
    found = names(dns)
    dns.answer = ()
    gone = "keeps the addresses of rt.test: target host 'rt.test' does not resolve"
    assert gone in found.look()
    assert found.look() == []
    assert addresses(found)[0] == ("127.0.0.2",)
    dns.answer = ("127.0.0.2",)
    assert found.look() == []
    dns.answer = ()
    assert gone in found.look()  # again after it was back


@pytest.mark.parametrize("allowed", [(), ("192.0.2.0/24",), ("rt.test",)])
def test_a_new_address_has_to_be_allowed(allowed):
    dns = FakeDns("127.0.0.2")
    found = names(dns, *allowed)
    dns.answer = ("127.0.0.3", "192.0.2.7")
    (note,) = found.look()
    if allowed:
        assert addresses(found)[0] == dns.answer
    else:
        assert note.startswith("keeps the addresses of rt.test: refuses target rt.test (192.0.2.7)")
        assert addresses(found)[0] == ("127.0.0.2",)


def test_what_does_not_resolve_before_the_run_is_a_mistake():
    with pytest.raises(PlanError, match="does not resolve"):
        resolve_all(URLS, (), addresses_of=FakeDns())
