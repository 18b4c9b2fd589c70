"""The client of the coordinator's port.

It sends the agent's token, uses TLS where the URL says so, and bounds every answer in time and
size.
"""

import asyncio
import re
import ssl
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import aiohttp

from loadgen.errors import OperatorError
from loadgen.http.token import Token

Trust = ssl.SSLContext | aiohttp.Fingerprint | bool
"""The certificates that are trusted: those of a context's authorities, the certificate with a
fingerprint, or those of the system's authorities (True)."""


AGAIN_AFTER = 2.0
"""Seconds without an answer after which a post is sent again, on another connection."""


class TooLongError(aiohttp.ClientError):
    """An answer is longer than any coordinator's."""


class Response(NamedTuple):
    """The answer to a post."""

    status: int
    body: bytes


class CoordinatorClient:
    """An HTTP session with a coordinator.

    It follows no redirect, keeps no cookie and decompresses nothing. Each answer must come within
    `within` seconds.
    """

    def __init__(self, url: str, token: Token | None, trust: Trust, within: float) -> None:
        self._url = url
        headers = {"Accept-Encoding": "identity"}
        if token is not None:
            headers["Authorization"] = token.header
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust),
            timeout=aiohttp.ClientTimeout(total=within),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def post(
        self, path: str, body: bytes, max_bytes: int, within: float | None = None
    ) -> Response:
        """Posts a body; returns the answer, which may have at most `max_bytes`.

        A large one may take longer than others: `within` is in seconds. Raises aiohttp.ClientError
        or TimeoutError when no such answer comes.
        """
        timeout = self._http.timeout if within is None else aiohttp.ClientTimeout(total=within)
        async with self._http.post(
            self._url + path, data=body, allow_redirects=False, timeout=timeout
        ) as reply:
            answer = bytearray()
            async for part in reply.content.iter_any():
                answer += part
                if len(answer) > max_bytes:
                    reply.close()
                    raise TooLongError(f"an answer of more than {max_bytes:,} bytes")
            return Response(reply.status, bytes(answer))

    async def insist(self, path: str, body: bytes, max_bytes: int) -> Response:
        """Posts a body that may arrive twice; returns the first answer.

        Subtle: when packets are lost for some seconds, TCP waits longer and longer before it tries
        again, and a connection that works is not found by then. So the post is sent again on
        another connection, and the first one stays open meanwhile: to close it would look like the
        death of the sender.

        Raises what the first post raises: aiohttp.ClientError, or TimeoutError.
        """
        first = asyncio.create_task(self.post(path, body, max_bytes))
        posts = {first}
        try:
            while True:
                done, waiting = await asyncio.wait(
                    posts, timeout=AGAIN_AFTER, return_when=asyncio.FIRST_COMPLETED
                )
                for post in done:
                    if post is first or post.exception() is None:
                        return post.result()
                posts = waiting
                if not done:
                    posts.add(asyncio.create_task(self.post(path, body, max_bytes)))
        finally:
            for post in posts:
                post.cancel()

    async def __aenter__(self) -> "CoordinatorClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        await self._http.close()


def trust_in(ca: Path | None, fingerprint: str) -> Trust:
    """Returns the certificates of a coordinator that the options trust.

    Raises OperatorError when the options are unusable.
    """
    if ca is not None and fingerprint:
        raise OperatorError(
            "--tls-ca and --tls-fingerprint both say whom to trust; give one of them"
        )
    if fingerprint:
        return aiohttp.Fingerprint(_digest(fingerprint))
    if ca is None:
        return True
    try:
        context = ssl.create_default_context(cafile=str(ca))
    except ssl.SSLError as error:
        raise OperatorError(
            f"--tls-ca {ca} holds no certificate that can be read ({error.reason}); give PEM"
        ) from error
    except OSError as error:
        raise OperatorError(f"--tls-ca {ca} can't be read: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _digest(fingerprint: str) -> bytes:
    digits = fingerprint.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise OperatorError(
            f"--tls-fingerprint {fingerprint!r} is no SHA-256: give 64 hexadecimal digits, as"
            " loadgen-coord shows them"
        )
    return bytes.fromhex(digits)


def distrust(error: Exception, url: str) -> str:
    """Returns why TLS with a coordinator fails; "" where a retry may succeed."""
    match error:
        case aiohttp.ServerFingerprintMismatch():
            return (
                f"the coordinator at {url} has another certificate than --tls-fingerprint says: it"
                f" has {error.got.hex()}; ask its operator which is right"
            )
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or str(
                error.certificate_error
            )
            return (
                f"the certificate of the coordinator at {url} is not trusted ({reason}); give"
                " --tls-ca FILE or --tls-fingerprint SHA256"
            )
        case aiohttp.ClientConnectorSSLError():
            return f"the coordinator at {url} speaks no TLS that this agent knows; is it http://?"
    return ""
