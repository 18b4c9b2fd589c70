"""HTTP requests of a user, with its cookies.

Every request that begins ends in one of two ways: `http_replies` by status, or `http_failed` by
reason.
"""

import asyncio
from collections.abc import Generator, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from aiohttp import ClientResponse, CookieJar, InvalidURL
from yarl import URL

from loadgen.net.http_pool import http_failure
from loadgen.plan.secrets import shown_header
from loadgen.sessions.errors import HttpFailed
from loadgen.sessions.scenario import Scenario
from loadgen.stats.http_ends import CANCELLED
from loadgen.stats.reasons import BAD_REQUEST, DRAINED
from loadgen.stats.recorder import Recorder, microseconds
from loadgen.stats.tally import HTTP_TIMING

HTTP_TIMEOUT = 30.0
"""Seconds until the whole reply has come, where the session does not say."""
MAX_SHOWN = 1000
"""Characters of a body that the sample of a status shows."""


class Requester(Protocol):
    """The part of a user that its requests need."""

    number: int
    scenario: Scenario
    recorder: Recorder

    @property
    def target(self) -> str:
        """The URL of its target."""

    def cookie_jar(self, wanted: bool) -> CookieJar | None:
        """Returns its cookies, or None; with `wanted` it makes a jar for them."""

    def took(self, name: str, seconds: float) -> None:
        """Records a duration in seconds under a name."""


class HttpExchange(NamedTuple):
    """A request that is sent when it is awaited, or entered by `async with`."""

    user: Requester
    method: str
    url: str
    name: str
    timeout: float
    options: Mapping[str, Any]

    def __await__(self) -> Generator[Any, Any, ClientResponse]:
        """Sends the request and returns the reply, read whole; raises HttpFailed."""
        return self._reply().__await__()

    async def __aenter__(self) -> ClientResponse:
        """Sends the request and returns the reply, read whole; raises HttpFailed."""
        return await self._reply()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Does nothing: the reply has been read, and its connection is free."""

    async def _reply(self) -> ClientResponse:
        user = self.user
        user.recorder.tally.http_requests += 1
        began = monotonic()
        try:
            url = self._whole_url()
            pool = user.scenario.population.http
            reply = await pool.request(
                self.method, url, user.cookie_jar, self.timeout, user.number, **self.options
            )
        except Exception as error:  # no reply, in any of aiohttp's ways, or options it refuses
            reason = http_failure(error)
            self._failed(reason or BAD_REQUEST, f"{type(error).__name__}: {error}")
            if not reason:
                raise  # the session's own mistake, such as a body that can't be sent
        except (asyncio.CancelledError, GeneratorExit):
            self._failed(DRAINED if user.scenario.population.draining else CANCELLED)
            raise
        else:
            await self._count(reply, monotonic() - began)
            return reply
        await asyncio.sleep(0)  # others get their turn: the session may try the same again at once
        raise HttpFailed(reason)

    def _whole_url(self) -> URL:
        try:
            return _target_host(self.user.target).join(URL(self.url))
        except ValueError as error:
            raise InvalidURL(self.url, str(error)) from None

    async def _count(self, reply: ClientResponse, seconds: float) -> None:
        recorder = self.user.recorder
        tally = recorder.tally
        tally.http.record(microseconds(seconds))
        if self.name:
            self.user.took(f"{HTTP_TIMING}{self.name}", seconds)
        status = str(reply.status)
        tally.http_replies[status] = tally.http_replies.get(status, 0) + 1
        if reply.status >= 400:
            tally.http_errors += 1
            sample = f"http_replies.{status}"
            if recorder.claim(sample):
                head = "".join(
                    f"{name}: {shown_header(name, value)}\n"
                    for name, value in reply.headers.items()
                )
                body = (await reply.text(errors="replace"))[:MAX_SHOWN]
                recorder.samples[sample] = f"{self._request}: {status}\n{head}\n{body}\n"

    def _failed(self, reason: str, words: str = "") -> None:
        recorder = self.user.recorder
        failed = recorder.tally.http_failed
        failed[reason] = failed.get(reason, 0) + 1
        sample = f"http_failed.{reason}"
        if words and recorder.claim(sample):
            recorder.samples[sample] = f"{self._request}: {words}\n"

    @property
    def _request(self) -> str:
        """The request as samples name it: without a query, which may hold a token."""
        return f"user {self.user.number}: {self.method} {self.url.partition('?')[0]}"


class UserHttp:
    """`user.http`: HTTP requests with the user's own cookies.

    A URL without a host is one of the target's own host, by http for ws and https for wss.
    """

    __slots__ = ("_user",)

    def __init__(self, user: Requester) -> None:
        self._user = user

    @property
    def cookies(self) -> dict[str, str]:
        """The user's cookies, by name."""
        jar = self._user.cookie_jar(False)
        return {} if jar is None else {cookie.key: cookie.value for cookie in jar}

    def request(
        self,
        method: str,
        url: str,
        *,
        name: str = "",
        timeout: float = HTTP_TIMEOUT,
        **options: Any,
    ) -> HttpExchange:
        """Returns a request: `async with` sends it and gives the reply, read whole.

        With a `name` it is timed as `http_NAME` too; `timeout` is in seconds. The options are those
        of aiohttp's ClientSession.request: `json`, `data`, `params`, `headers`, `auth`, `cookies`,
        `allow_redirects`, `max_redirects`. Raises HttpFailed where no reply comes, and for a host
        that is neither a target of the plan nor allowed by the agent.
        """
        unknown = options.keys() - OPTIONS
        if unknown:
            raise TypeError(
                f"an HTTP request has no option {min(unknown)!r}; it has {', '.join(OPTIONS)}"
            )
        return HttpExchange(self._user, method, url, name, timeout, options)

    def get(self, url: str, **options: Any) -> HttpExchange:
        """Returns a GET request; see `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> HttpExchange:
        """Returns a POST request; see `request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> HttpExchange:
        """Returns a PUT request; see `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> HttpExchange:
        """Returns a PATCH request; see `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> HttpExchange:
        """Returns a DELETE request; see `request`."""
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Any) -> HttpExchange:
        """Returns a HEAD request; redirects are not followed; see `request`."""
        return self.request("HEAD", url, **{"allow_redirects": False} | options)


OPTIONS = (
    "json",
    "data",
    "params",
    "headers",
    "auth",
    "cookies",
    "allow_redirects",
    "max_redirects",
)
"""The options of aiohttp's requests that may be used; others would change the shared pool."""


def _target_host(target: str) -> URL:
    """Returns the target's URL for HTTP."""
    url = URL(target)
    if url.scheme not in ("ws", "wss"):
        raise ValueError("the target is a Unix socket, so the URL needs a scheme and a host")
    return url.with_scheme("https" if url.scheme == "wss" else "http")


def new_jar() -> CookieJar:
    """Returns an empty jar, which takes cookies of addresses too."""
    return CookieJar(unsafe=True)
