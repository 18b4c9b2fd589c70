"""The hosts that HTTP requests of sessions may go to."""

import pytest

from loadgen.net.allowed import AllowedHosts
from tests.unit.http_load import destination_of

HOSTS = AllowedHosts(
    (destination_of(80, "Chat.test"),), ("10.1.0.0/16", "Api.test", "2001:db8::/32")
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
        ("::1", "::1", True),
        ("::ffff:10.1.0.1", "::ffff:10.1.0.1", True),
        ("2001:db8::7", "2001:db8::7", True),
        ("2001:db9::7", "2001:db9::7", False),
    ],
)
def test_targets_loopback_and_what_the_agent_names_are_allowed(host, address, allowed):
    assert HOSTS.has(host, address) is allowed


def test_a_name_is_no_address():
    with pytest.raises(ValueError, match="does not appear"):
        HOSTS.has("api.test", "api.test")
