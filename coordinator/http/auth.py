"""Access to a run over HTTP, and the operator's controls.

With a token, only a client that has it may view or control a run. A browser exchanges it for a
cookie, since its event streams and links carry no header; the cookie allows viewing alone. Without
a token the port is on loopback, where any web page in the operator's browser could post: so a
control must come from this page, or from no page at all.
"""

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from coordinator.http.routes import ACTIONS, CHANGES, EXAMPLES, NAMED, Access
from coordinator.run.run import Run
from coordinator.run.steering import Wish, WishError
from loadgen.http.ratelimit import PortRates
from loadgen.http.server import Handler, Sender
from loadgen.http.token import Token

COOKIE = "loadgen_view"
RATES = {
    "holder": PortRates(each=400.0, together=400.0),
    "fleet": PortRates(each=2000.0, together=2000.0),
    "viewer": PortRates(each=400.0, together=400.0),
    "open": PortRates(each=200.0, together=400.0),
    "view": PortRates(each=200.0, together=400.0),
    "join": PortRates(each=50.0, together=50.0),
    "control": PortRates(each=20.0, together=20.0),
    "post": PortRates(each=20.0, together=100.0),
}
"""Requests per second by who sends them.

They are the GETs of clients with the token, and their posts, among them those of a thousand agents
that no run takes; clients with a viewer's cookie; and strangers, whose GETs of what is open, other
GETs, joins, controls and all else count apart. The posts of agents that joined are limited for each
agent."""


class Authorizer:
    """Decides which requests are allowed. `public` allows everybody to view."""

    def __init__(self, token: Token | None, *, public: bool = False) -> None:
        self._token = token
        self._public = public

    @property
    def has_token(self) -> bool:
        """True when this port has a token."""
        return self._token is not None

    @property
    def cookie(self) -> str:
        """The value of a viewer's cookie, derived from the token.

        The token does not follow from it.
        """
        return self._token.sign(COOKIE) if self._token else ""

    def sender_of(self, request: web.Request) -> Sender:
        """Returns what is known of the sender of a request that is no agent's.

        Strangers share allowances by what they ask for, so on a port without a token a flood of one
        kind leaves the others.
        """
        reads = request.method in ("GET", "HEAD")
        if self._has_token(request):
            return Sender("holder" if reads else "fleet", known=True)
        if self._has_cookie(request):
            return Sender("viewer", known=True)
        if reads:
            return Sender("open" if _access_of(request) == "open" else "view")
        route = request.match_info.route.name
        return Sender("control" if route in ACTIONS else "join" if route == "join" else "post")

    def refusal(self, request: web.Request) -> web.HTTPException | None:
        """Returns the reason why a request is refused; None where it is not."""
        access = _access_of(request)
        if access == "change":
            return self._refusal_to_change(request)
        if access == "open":
            return None
        if self._token is None:
            return None if _is_address(request.host) else _not_by_address()
        public = self._public and access != "archive"
        if public or self._has_token(request) or self._has_cookie(request):
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

    def mistake(self, request: web.Request) -> str:
        """Returns what is wrong with the token of an agent, with the fix."""
        if "Authorization" in request.headers:
            return "its token is not this coordinator's; give its --token-file the same token"
        return "it sent no token; start it with --token-file, and this coordinator's token in it"

    def _has_token(self, request: web.Request) -> bool:
        return self._token is not None and self._token.matches(
            request.headers.get("Authorization", "")
        )

    def _has_cookie(self, request: web.Request) -> bool:
        """True when a request has a viewer's cookie; without one, no cookie is parsed."""
        return (
            self._token is not None
            and COOKIE in request.headers.get("Cookie", "")
            and self._token.verify(COOKIE, request.cookies.get(COOKIE, ""))
        )


def _access_of(request: web.Request) -> Access:
    """Returns the access that a request needs.

    For a path that is not in the table of routes, it follows from the method.
    """
    if request.method not in ("GET", "HEAD"):
        return "change"
    route = NAMED.get(request.match_info.route.name or "")
    return route.access if route is not None else "view"


def _not_by_address() -> web.HTTPException:
    """Returns the refusal of a name that leads here.

    By DNS rebinding, a page of another site could read what its browser may.
    """
    return web.HTTPForbidden(
        text="without a token, name this machine by its address, or as localhost"
    )


def _is_foreign(request: web.Request, *, rebindable: bool) -> bool:
    """True when a browser sends this request for a page of another site.

    A client that is not a browser sends neither of the two headers.

    Subtle: when a stranger's DNS resolves the name of their page to this machine, the browser takes
    the page and this server for the same site. Where no token keeps such a page out
    (`rebindable`), a post must name this machine by its address, or as localhost.
    """
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if origin is None and site is None:
        return False
    same = origin is None or _netloc(origin) == request.host
    return (
        not same
        or site not in (None, "same-origin", "none")
        or (rebindable and not _is_address(request.host))
    )


def _netloc(url: str) -> str:
    """Returns host and port of a URL; "" for a text that is none."""
    try:
        return urlsplit(url).netloc
    except ValueError:  # a bracket without its other one
        return ""


def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name == "localhost"
    return True


class Controls:
    """The operator's actions on a run, and the changes of its plan.

    `on_action` is called with each action after it.
    """

    def __init__(
        self,
        run: Run,
        clock: Callable[[], float],
        authorizer: Authorizer,
        on_action: Callable[[str], None],
    ) -> None:
        self._run = run
        self._clock = clock
        self._authorizer = authorizer
        self._on_action = on_action

    def handlers(self) -> dict[str, Handler]:
        """Returns the handlers of actions and login, by the names of their routes."""
        return {
            **{action: partial(self._act, action) for action in ACTIONS},
            **{what: partial(self._steer, what) for what in CHANGES},
            "view": self._view,
        }

    def _check(self, request: web.Request, example: str) -> None:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(
                text=f"send Content-Type: application/json; {example}"
            )
        if self._run.state == "done":
            raise web.HTTPConflict(text="the run is over")

    async def _steer(self, what: str, request: web.Request) -> web.Response:
        """Changes the plan of a running run."""
        self._check(request, f"for example {EXAMPLES[what]}")
        if self._run.state != "running":
            raise web.HTTPConflict(
                text=f"the run is {self._run.state}; only of a running run the {what} can change"
            )
        try:
            form = msgspec.json.decode(await request.read(), type=CHANGES[what])
            self._run.steer(Wish(**msgspec.structs.asdict(form)), self._clock())
        except (msgspec.DecodeError, UnicodeError) as error:
            raise web.HTTPBadRequest(text=f"{error}; send for example {EXAMPLES[what]}") from error
        except WishError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        state = self._state() | {"asked": self._run.steering.asked()[-1]}
        return web.Response(body=msgspec.json.encode(state), content_type="application/json")

    async def _act(self, action: str, request: web.Request) -> web.Response:
        self._check(request, "an empty object will do")
        if action in ("pause", "resume") and self._run.state != "running":
            raise web.HTTPConflict(
                text=f"the run is {self._run.state}; only a running run can {action}"
            )
        ACTIONS[action](self._run, self._clock())
        self._on_action(action)
        return web.json_response(self._state())

    async def _view(self, request: web.Request) -> web.Response:
        """Answers a request that carries the token with a cookie to view with."""
        reply = web.json_response(self._state())
        reply.set_cookie(
            COOKIE,
            self._authorizer.cookie,
            httponly=True,
            samesite="Strict",
            path="/",
            secure=request.secure,
        )
        return reply

    def _state(self) -> dict[str, Any]:
        return {"state": self._run.state, "paused": self._run.paused}
