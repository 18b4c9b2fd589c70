"""The live page's files, read once and served from memory."""

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


class Page:
    """The files of the page, by their names below its folder."""

    def __init__(self) -> None:
        self._files = {
            path.relative_to(FOLDER).as_posix(): path.read_bytes()
            for path in FOLDER.rglob("*.*")
            if path.suffix in TYPES or path.name.startswith("LICENSE")
        }

    async def index(self, _: web.Request) -> web.Response:
        """Answers with the page."""
        return self._file("index.html")

    async def file(self, request: web.Request) -> web.Response:
        """Answers with a file that the page loads."""
        return self._file(request.match_info["file"])

    async def vendor_file(self, request: web.Request) -> web.Response:
        """Answers with a file of a library that the page uses."""
        return self._file(f"vendor/{request.match_info['file']}")

    def _file(self, name: str) -> web.Response:
        body = self._files.get(name)
        if body is None:
            raise web.HTTPNotFound
        media = TYPES.get(Path(name).suffix, "text/plain")
        return web.Response(body=body, content_type=media, charset="utf-8", headers=HEADERS)


async def no_icon(_: web.Request) -> web.Response:
    """Answers without an icon: browsers ask for one, and log a 404 as an error."""
    return web.Response(status=204)
