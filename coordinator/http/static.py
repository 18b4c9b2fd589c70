"""The live page's files, read once and served from memory; nothing from outside is ever needed."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parents[1] / "page"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src"
        " 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
}


def page_routes() -> list[web.RouteDef]:
    """`/` and what it is made of, below `/page/`."""
    routes = [web.get("/", _serving(FOLDER / "index.html")), web.get("/favicon.ico", _no_icon)]
    for path in sorted(FOLDER.rglob("*.*")):
        if path.suffix in TYPES or path.name.startswith("LICENSE"):
            routes.append(web.get(f"/page/{path.relative_to(FOLDER).as_posix()}", _serving(path)))
    return routes


async def _no_icon(_: web.Request) -> web.Response:
    # Browsers ask for one wherever a page names none, and complain of a 404.
    return web.Response(status=204)


def _serving(path: Path) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = path.read_bytes()
    kind = TYPES.get(path.suffix, "text/plain")

    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=HEADERS)

    return serve
