"""The client of the coordinator's port, against a real one.

The tests are about trust, token and bounded answers.
"""

import asyncio
import gzip
import hashlib
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
import trustme
from aiohttp import web

from loadgen.errors import OperatorError
from loadgen.http import client
from loadgen.http.client import CoordinatorClient, TooLongError, distrust, trust_in
from loadgen.http.server import HttpServer
from loadgen.http.token import Token
from loadgen.values import Endpoint
from tests.processes import PATIENCE, refusing_port
from tests.unit.timing import MS

ANSWER = 1000
"""Bytes that an answer may have, in these tests."""


class Port:
    """A port that records the requests and gives the answers that its paths name."""

    def __init__(self):
        self.requests = []
        self.peers = []
        app = web.Application()
        app.add_routes(
            [
                web.post("/echo", self.echo),
                web.post("/rows", self.rows),
                web.post("/elsewhere", self.redirect),
                web.post("/packed", self.packed),
                web.post("/endless", self.endless),
                web.post("/deaf", self.deaf),
            ]
        )
        self.server = HttpServer(app)

    async def echo(self, request):
        self.requests.append(request)
        answer = web.Response(status=418, body=await request.read())
        answer.set_cookie("kept", "no")
        return answer

    async def rows(self, request):
        self.requests.append(request)
        return web.Response(body=bytes(int(request.query["size"])))

    async def deaf(self, request):
        """Answers no post but those after the first `deaf`."""
        self.requests.append(request)
        self.peers.append(request.transport.get_extra_info("peername"))
        if len(self.requests) <= int(request.query["deaf"]):
            await asyncio.sleep(PATIENCE)
        return web.Response(body=await request.read())

    async def redirect(self, request):
        raise web.HTTPTemporaryRedirect("/echo")

    async def packed(self, request):
        return web.Response(body=gzip.compress(b"data"), headers={"Content-Encoding": "gzip"})

    async def endless(self, request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(ANSWER // 2))


@asynccontextmanager
async def listening(tls=None):
    """A port under way, and its URL."""
    port = Port()
    at = await port.server.open("--listen", Endpoint("127.0.0.1", 0), tls)
    try:
        yield port, f"{'https' if tls else 'http'}://{at}"
    finally:
        await port.server.close()


def client_of(url, token=None, trust=True, within=PATIENCE):
    return CoordinatorClient(url, token, trust, within)


async def test_a_post_brings_the_token_and_returns_status_and_body():
    async with listening() as (port, url), client_of(url, Token("s3cret")) as client:
        assert await client.post("/echo", b"a body", ANSWER) == (418, b"a body")

    (request,) = port.requests
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["Accept-Encoding"] == "identity"


async def test_without_a_token_none_is_sent_and_no_cookie_is_kept():
    async with listening() as (port, url), client_of(url) as client:
        for _ in range(2):
            await client.post("/echo", b"", ANSWER)

    assert [request.headers.get("Authorization") for request in port.requests] == [None, None]
    assert [request.headers.get("Cookie") for request in port.requests] == [None, None]


async def test_a_redirect_is_an_answer_that_is_not_followed():
    async with listening() as (port, url), client_of(url) as client:
        status, _ = await client.post("/elsewhere", b"", ANSWER)

    assert status == 307
    assert port.requests == []


async def test_an_answer_is_not_decompressed():
    async with listening() as (_, url), client_of(url) as client:
        _, body = await client.post("/packed", b"", ANSWER)

    assert gzip.decompress(body) == b"data"


async def test_an_answer_that_is_too_long_is_cut_off():
    async with listening() as (_, url), client_of(url) as client:
        assert await client.post("/echo", bytes(ANSWER), ANSWER) == (418, bytes(ANSWER))
        with pytest.raises(TooLongError, match="an answer of more than 1,000 bytes"):
            await client.post("/endless", b"", ANSWER)


async def test_an_answer_that_does_not_end_in_time_is_an_error():
    async with listening() as (_, url), client_of(url, within=200 * MS) as client:
        with pytest.raises(TimeoutError):
            await client.post("/endless", b"", 1 << 40)


# --- Trust
# ----------------------------------------------------------------------------------------------


class Tls(NamedTuple):
    """A coordinator's certificate as a context, a file and a fingerprint.

    The file is its authority's.
    """

    context: ssl.SSLContext
    ca: Path
    fingerprint: str


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    ca = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    return Tls(context, ca, hashlib.sha256(der).hexdigest())


def colons(fingerprint):
    return ":".join(fingerprint.upper()[at : at + 2] for at in range(0, 64, 2))


async def failure(url, trust):
    """Returns why a post fails."""
    async with client_of(url, trust=trust) as client:
        with pytest.raises(aiohttp.ClientError) as caught:
            await client.post("/echo", b"", ANSWER)
    return distrust(caught.value, url)


async def test_a_certificate_is_trusted_by_its_authority_or_by_its_fingerprint(tls):
    trusts = [
        trust_in(tls.ca, ""),
        trust_in(None, tls.fingerprint),
        trust_in(None, colons(tls.fingerprint)),
    ]
    async with listening(tls.context) as (_, url):
        for trust in trusts:
            async with client_of(url, trust=trust) as client:
                assert await client.post("/echo", b"safe", ANSWER) == (418, b"safe")


async def test_another_certificate_is_named_with_the_options_that_trust_it(tls):
    async with listening(tls.context) as (port, url):
        text = await failure(url, trust_in(None, ""))

    assert text.startswith(f"the certificate of the coordinator at {url} is not trusted (")
    assert text.endswith("; give --tls-ca FILE or --tls-fingerprint SHA256")
    assert port.requests == []


async def test_another_fingerprint_is_shown_beside_the_expected_one(tls):
    async with listening(tls.context) as (port, url):
        text = await failure(url, trust_in(None, "0" * 64))

    assert text == (
        f"the coordinator at {url} has another certificate than --tls-fingerprint says: it has"
        f" {tls.fingerprint}; ask its operator which is right"
    )
    assert port.requests == []


async def test_a_port_without_tls_is_one_that_may_be_http(tls):
    async with listening() as (_, url):
        secure = url.replace("http:", "https:")
        text = await failure(secure, trust_in(tls.ca, ""))

    assert (
        text == f"the coordinator at {secure} speaks no TLS that this agent knows; is it http://?"
    )


async def test_a_port_at_which_nothing_listens_is_worth_a_retry():
    assert await failure(f"http://127.0.0.1:{refusing_port()}", True) == ""


def test_without_options_the_authorities_of_the_system_are_trusted(tls):
    context = trust_in(tls.ca, "")

    assert trust_in(None, "") is True
    assert isinstance(context, ssl.SSLContext)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_authority_and_a_fingerprint_exclude_each_other(tls):
    with pytest.raises(OperatorError, match="--tls-ca and --tls-fingerprint both say whom to"):
        trust_in(tls.ca, tls.fingerprint)


@pytest.mark.parametrize("text", ["ab", "0" * 63, "g" * 64, "sha256:" + "0" * 64, " " + "0" * 64])
def test_a_fingerprint_is_64_hexadecimal_digits(text):
    with pytest.raises(OperatorError) as caught:
        trust_in(None, text)
    assert str(caught.value) == (
        f"--tls-fingerprint {text!r} is no SHA-256: give 64 hexadecimal digits, as loadgen-coord"
        " shows them"
    )


def test_a_file_of_authorities_that_cannot_be_read_is_named(tmp_path):
    missing = tmp_path / "missing.pem"
    other = tmp_path / "other.pem"
    other.write_text("no certificate")

    with pytest.raises(OperatorError) as caught:
        trust_in(missing, "")
    assert str(caught.value) == f"--tls-ca {missing} can't be read: No such file or directory"
    with pytest.raises(OperatorError) as caught:
        trust_in(other, "")
    assert str(caught.value).startswith(f"--tls-ca {other} holds no certificate that can be read (")
    assert str(caught.value).endswith("); give PEM")


async def test_a_large_answer_is_bounded_and_may_take_its_own_time():
    token = Token("s3cret-" * 4)
    async with listening() as (port, url), CoordinatorClient(url, token, True, 5.0) as client:
        status, body = await client.post(f"/rows?size={ANSWER}", b"", ANSWER, PATIENCE)
        with pytest.raises(TooLongError):
            await client.post(f"/rows?size={ANSWER + 1}", b"", ANSWER, PATIENCE)

    assert (status, body) == (200, bytes(ANSWER))
    assert port.requests[0].headers["Authorization"] == token.header


async def test_a_post_without_an_answer_is_sent_again_on_another_connection(monkeypatch):
    monkeypatch.setattr(client, "AGAIN_AFTER", 20 * MS)
    async with listening() as (port, url), client_of(url) as coordinator:
        answer = await coordinator.insist("/deaf?deaf=2", b"hello", ANSWER)

    assert answer == (200, b"hello")
    assert len(set(port.peers)) == len(port.peers) >= 3


async def test_the_first_of_several_posts_decides_on_when_it_is_too_late(monkeypatch):
    monkeypatch.setattr(client, "AGAIN_AFTER", 20 * MS)
    async with listening() as (_, url), client_of(url, within=100 * MS) as coordinator:
        with pytest.raises(TimeoutError):
            await coordinator.insist("/deaf?deaf=99", b"hello", ANSWER)


async def test_a_post_that_is_refused_is_not_sent_again():
    async with client_of(f"http://127.0.0.1:{refusing_port()}") as coordinator:
        with pytest.raises(aiohttp.ClientConnectorError):
            await coordinator.insist("/deaf?deaf=0", b"hello", ANSWER)
