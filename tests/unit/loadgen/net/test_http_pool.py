"""The pool of HTTP connections, against aiohttp's server."""

import ssl

import pytest
import trustme
from aiohttp import ClientError, ClientPayloadError, CookieJar, ServerDisconnectedError
from msgspec.structs import replace
from yarl import URL

from loadgen.net.http_pool import AllowedResolver, HostNotAllowed, HttpPool, http_failure
from loadgen.net.tls import Contexts
from loadgen.plan.credentials import Credentials
from loadgen.plan.transport import Transport
from tests.login_server import login_server
from tests.unit.http_load import SOURCE, destination_of, hosts_of


async def asked(hosts, *paths, port, host="127.0.0.1"):
    """The replies to GET requests, one after the other, of one user."""
    pool = HttpPool(hosts, Transport(), Contexts(Transport()))
    jars = []

    def jar_of(wanted):
        if wanted and not jars:
            jars.append(CookieJar(unsafe=True))
        return jars[0] if jars else None

    try:
        return [
            await pool.request("GET", URL(f"http://{host}:{port}{path}"), jar_of, 5.0, 0)
            for path in paths
        ]
    finally:
        await pool.close()


async def test_a_target_is_asked_at_the_address_that_the_agent_found():
    async with login_server() as (port, _):
        hosts = hosts_of(destination_of(port, "chat.invalid"))
        (reply,) = await asked(hosts, "/me", port=port, host="chat.invalid")

        assert (await reply.json())["peer"] == SOURCE


async def test_requests_share_a_connection():
    async with login_server() as (port, _):
        hosts = hosts_of(destination_of(port))
        peers = [await one.json() for one in await asked(hosts, "/port", "/port", port=port)]

    assert peers[0] == peers[1]


async def test_names_are_resolved_only_where_they_are_allowed():
    resolver = AllowedResolver(hosts_of(allowed=("localhost",)))

    (found,) = [one for one in await resolver.resolve("localhost", 80) if one["host"][0] == "1"]
    assert (found["host"], found["port"]) == ("127.0.0.1", 80)
    refused = AllowedResolver(hosts_of(destination_of(80, "a.test")))
    assert [one["host"] for one in await refused.resolve("A.test", 80)] == ["127.0.0.1"]
    await resolver.close()


async def test_a_host_that_resolves_to_what_is_not_allowed_is_refused():
    resolver = AllowedResolver(hosts_of(allowed=("10.0.0.0/8",)))

    with pytest.raises(HostNotAllowed, match=r"start the agent with --allow-target 192\.0\.2\.7"):
        await resolver.resolve("192.0.2.7", 80)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "timeout"),
        (ssl.SSLError(), "tls"),
        (ServerDisconnectedError(), "server_eof"),
        (ClientPayloadError(), "server_eof"),
        (ConnectionResetError(104, "reset"), "reset"),
        (OSError(24, "too many open files"), "no_fd"),
        (OSError("no number"), "error_OSError"),
        (ClientError(), "error_ClientError"),
        (KeyError("mine"), ""),
    ],
)
def test_each_error_has_its_reason(error, reason):
    assert http_failure(error) == reason


AUTHORITY = trustme.CA()


@pytest.mark.parametrize(("known", "result"), [(True, 200), (False, "tls")])
async def test_https_trusts_the_authority_of_the_plan(known, result):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(server)
    trusted = AUTHORITY if known else trustme.CA()
    credentials = Credentials(ca=trusted.cert_pem.bytes().decode())
    pool = HttpPool(hosts_of(), Transport(), Contexts(Transport(), credentials))
    found = []
    async with login_server(server) as (port, _):
        url = URL(f"https://127.0.0.1:{port}/me")
        try:
            found.append((await pool.request("GET", url, lambda _: None, 5.0, 0)).status)
        except ClientError as error:
            found.append(http_failure(error))
        finally:
            await pool.close()

    assert found == [result]


def behind_proxy(port):
    """A target behind a proxy at this port, as an agent resolved it."""
    return replace(destination_of(port, "chat.invalid"), asked="chat.invalid", asked_port=80)


@pytest.mark.parametrize("allowed", [(), ("127.0.0.1",)])
async def test_a_proxy_is_asked_for_targets_and_what_the_agent_allows(allowed):
    async with login_server() as (port, _):  # as a proxy it answers whatever it is asked for
        transport = Transport(proxy=f"http://proxy.invalid:{port}")
        hosts = hosts_of(behind_proxy(port), allowed=allowed)
        pool = HttpPool(hosts, transport, Contexts(transport))
        try:
            url = URL("http://chat.invalid/me")
            reply = await pool.request("GET", url, lambda _: None, 5.0, 0)
            assert (await reply.json())["peer"] == SOURCE
            for host in ("127.0.0.1", "other.invalid"):  # of the proxy's machine
                if host in allowed:
                    continue
                with pytest.raises(HostNotAllowed, match=f"--allow-target {host}"):
                    await pool.request("GET", URL(f"http://{host}/me"), lambda _: None, 5.0, 0)
        finally:
            await pool.close()


async def test_no_request_goes_through_a_socks_proxy_or_past_it():
    transport = Transport(proxy="socks5://127.0.0.1:9")
    pool = HttpPool(hosts_of(), transport, Contexts(transport))
    try:
        with pytest.raises(HostNotAllowed, match="do not go through a SOCKS5 proxy"):
            await pool.request("GET", URL("http://127.0.0.1:9/"), lambda _: None, 5.0, 0)
    finally:
        await pool.close()
