"""The operator's words by HTTP, and who may say them: `POST /v1/run/pause|resume|drain|stop`.

With a token, only who has it may view or control a run; a browser trades it for a cookie, since its
event streams and links carry no header. The cookie is for viewing alone. Without a token the port
is loopback's, where any web page that the operator's browser shows could post: so a control must
come from this page, or from no page at all.
"""

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from coordinator.run.run import Run
from loadgen.http.token import Token

ACTIONS: dict[str, Callable[[Run, float], None]] = {
    "pause": Run.pause,
    "resume": Run.resume,
    "drain": Run.drain,
    "stop": Run.stop,
}
COOKIE = "loadgen_view"
OPEN_TO_ALL = ("/healthz", "/metrics", "/v1/sd", "/favicon.ico")
"""What a monitor asks for, which is not to have the token; it tells counts, and where the agents
tell theirs."""


class Authorizer:
    """Who may ask for what. `public` lets everybody view."""

    def __init__(self, token: Token | None, *, public: bool = False) -> None:
        self._token = token
        self._public = public

    @property
    def cookie(self) -> str:
        """What a viewer's cookie holds: made of the token, which does not follow from it."""
        return self._token.seal(COOKIE) if self._token else ""

    def refusal(self, request: web.Request) -> web.HTTPException | None:
        """Why a request is refused, if it is."""
        if request.method not in ("GET", "HEAD"):
            return self._refusal_to_change(request)
        shown = (
            request.path in OPEN_TO_ALL or request.path == "/" or request.path.startswith("/page/")
        )
        if not shown and self._token is None and not _is_address(request.host):
            # By a name that leads here (DNS rebinding) a page of another site could read what its
            # browser may.
            return web.HTTPForbidden(
                text="without a token, name this machine by its address, or as localhost"
            )
        public = self._public and not request.path.endswith(
            ".tar.gz"
        )  # a plan in it may hold passwords
        if (
            shown
            or self._token is None
            or public
            or self._has_token(request)
            or self._has_cookie(request)
        ):
            return None
        return web.HTTPUnauthorized(
            text="viewing needs the token; send Authorization: Bearer TOKEN, or open / and log in"
        )

    def _refusal_to_change(self, request: web.Request) -> web.HTTPException | None:
        if self._token is not None and not self._has_token(request):
            return web.HTTPUnauthorized(
                text="the token is missing or wrong; send Authorization: Bearer TOKEN"
            )
        if _is_foreign(request, rebindable=self._token is None):
            return web.HTTPForbidden(text="another site's page may change nothing here")
        return None

    def _has_token(self, request: web.Request) -> bool:
        return self._token is not None and self._token.matches(
            request.headers.get("Authorization", "")
        )

    def _has_cookie(self, request: web.Request) -> bool:
        return self._token is not None and self._token.sealed(
            COOKIE, request.cookies.get(COOKIE, "")
        )


def _is_foreign(request: web.Request, *, rebindable: bool) -> bool:
    """Whether a browser sends this for a page of another site; who is no browser says nothing of
    the kind.

    A name that a stranger's DNS makes an address of this machine is a site of its own to the
    browser. Where no token keeps such a page out (`rebindable`), a post must name this machine by
    its address, or as localhost.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is None and site is None:
        return False
    same = origin is None or urlsplit(origin).netloc == request.host
    return (
        not same
        or site not in (None, "same-origin", "none")
        or (rebindable and not _is_address(request.host))
    )


def _is_address(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name == "localhost"
    return True


class Controls:
    """The paths that change a run. `said` is called with each word that was obeyed."""

    def __init__(
        self, run: Run, clock: Callable[[], float], gate: Authorizer, said: Callable[[str], None]
    ) -> None:
        self._run = run
        self._clock = clock
        self._gate = gate
        self._said = said

    def routes(self) -> list[web.RouteDef]:
        """What the page's buttons post to."""
        return [
            web.post("/v1/run/{action:pause|resume|drain|stop}", self._act),
            web.post("/v1/view", self._view),
        ]

    async def _act(self, request: web.Request) -> web.Response:
        action = request.match_info["action"]
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(
                text="send Content-Type: application/json; an empty object will do"
            )
        if self._run.state == "done":
            raise web.HTTPConflict(text="the run is over")
        if action in ("pause", "resume") and self._run.state != "running":
            raise web.HTTPConflict(
                text=f"the run is {self._run.state}; only one that runs can {action}"
            )
        ACTIONS[action](self._run, self._clock())
        self._said(action)
        return web.json_response(self._state())

    async def _view(self, request: web.Request) -> web.Response:
        """Trades the token, which the request was let in by, for a cookie to view with."""
        reply = web.json_response(self._state())
        reply.set_cookie(
            COOKIE,
            self._gate.cookie,
            httponly=True,
            samesite="Strict",
            path="/",
            secure=request.secure,
        )
        return reply

    def _state(self) -> dict[str, Any]:
        return {"state": self._run.state, "paused": self._run.paused}
