"""The settings of connections: their mistakes, and what is shown of them."""

import pytest

from loadgen.errors import PlanError
from loadgen.plan.compress import Compress
from loadgen.plan.plan import Plan
from loadgen.plan.proxy import ProxyUrl
from loadgen.plan.transport import Transport


def test_compression_is_offered_as_browsers_do_or_as_it_is_written_or_not():
    own = Compress(client_max_window_bits=9)

    assert Transport(compress=True).offer == Compress()
    assert Transport(compress=own).offer == own
    assert Transport().offer is None


@pytest.mark.parametrize("name", [True, False, "rt.example.com", "10.0.0.1", "::1", "a_b"])
def test_the_servers_name_is_that_of_a_host(name):
    assert (
        Transport(tls_server_name=name) == Plan(transport=Transport(tls_server_name=name)).transport
    )


@pytest.mark.parametrize("name", ["", "rt.example.com:443", "https://a", "a b", "*", "café"])
def test_another_servers_name_is_refused(name):
    with pytest.raises(PlanError, match=r"`transport\.tls_server_name` is '.*'; write a host's"):
        Plan(transport=Transport(tls_server_name=name))


@pytest.mark.parametrize(("resolve", "every"), [("once", None), (1.0, 1.0), (30.0, 30.0)])
def test_names_are_resolved_once_or_every_so_many_seconds(resolve, every):
    assert Plan(transport=Transport(resolve=resolve)).transport.resolve_every == every


@pytest.mark.parametrize("resolve", ["", "twice", "30", 0.5, 0.0, -1.0])
def test_another_rhythm_is_refused(resolve):
    with pytest.raises(PlanError, match=r'`transport\.resolve` is .*; write "once", or a duration'):
        Plan(transport=Transport(resolve=resolve))


def test_a_proxy_has_a_url_that_is_shown_without_its_credentials():
    plan = Plan(transport=Transport(proxy="socks5h://load:s3cr3t@proxy:1080"))

    assert plan.transport.via == ProxyUrl("socks5h", "proxy", 1080, "load", "s3cr3t")
    assert plan.for_agents.transport.via == plan.transport.via
    assert plan.redacted().transport.proxy == "socks5h://***:***@proxy:1080"
    assert Plan().transport.via is None
    assert Plan().redacted().transport.proxy == ""


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("proxy", "http://u:s3cr3t@proxy", "is '…@proxy' without a port; write http"),
        ("proxy", "proxy:3128", "is 'proxy:3128'; its scheme is none of http, socks5, socks5h;"),
        ("proxy_protocol", 3, r"is 3; write 1 \(text\), 2 \(binary\) or 0 \(none\)"),
        ("proxy_protocol", -1, "is -1; write 1"),
    ],
)
def test_a_wrong_way_to_the_targets_is_one_line(key, value, words):
    with pytest.raises(PlanError, match=rf"`transport\.{key}` {words}") as caught:
        Plan(transport=Transport(**{key: value}))
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        (
            {"tls_ca": "/ca.pem", "tls_verify": False},
            "`transport.tls_ca` has no effect with `tls_verify` = false; leave one of them out",
        ),
        (
            {"tls_key": "/k.pem"},
            "`transport.tls_key` is a key without its certificate; give `tls_cert` beside it",
        ),
        (
            {"tls_alpn": ("http/1.1", "")},
            "`transport.tls_alpn[1]` is ''; write 1 to 255 ASCII characters",
        ),
        ({"tls_alpn": ("é",)}, "`transport.tls_alpn[0]` is 'é'; write 1 to 255 ASCII characters"),
        ({"tls_alpn": ("x" * 256,)}, "`transport.tls_alpn[0]` is 'xxx"),
    ],
)
def test_a_mistake_in_the_keys_of_tls_is_one_line(keys, mistake):
    with pytest.raises(PlanError) as caught:
        Plan(transport=Transport(**keys))

    assert str(caught.value).startswith(mistake)


def test_a_redacted_plan_has_no_paths_of_keys_and_no_token_among_subprotocols():
    transport = Transport(
        tls_ca="/home/me/ca.pem",
        tls_cert="/home/me/c.pem",
        tls_key="/home/me/k.pem",
        subprotocols=("talk", "x" * 30),
    )

    shown = Plan(transport=transport).redacted().transport
    assert {shown.tls_ca, shown.tls_cert, shown.tls_key} == {"…"}
    assert shown.subprotocols == ("talk", "hidden-2")
    assert shown.origin == ""
