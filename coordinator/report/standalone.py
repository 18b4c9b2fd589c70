"""HTML pages in one file: the page's style, modules and chart library are inside."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from coordinator.report.template import render
from loadgen.version import VERSION

PAGE = Path(__file__).parents[1] / "page"


class EmbeddedScript(msgspec.Struct, frozen=True):
    """A script inside a page."""

    text: str
    module: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 digest in base64, as a Content-Security-Policy names a script."""
        return base64.b64encode(hashlib.sha256(self.text.encode()).digest()).decode()


def standalone(template: str, modules: Sequence[str], data: Any, **values: Any) -> str:
    """Returns a page that loads nothing.

    `modules` are those of the live page that it needs, each after the modules that it imports;
    `data` is what they read, and `values` are the template's.
    """
    scripts = [
        EmbeddedScript(_read("vendor/uPlot.iife.min.js")),
        EmbeddedScript(_bundle(modules), module=True),
    ]
    return render(
        template,
        version=VERSION,
        style=_read("vendor/uPlot.min.css") + _read("page.css"),
        policy=_policy(scripts),
        scripts=scripts,
        # No text in it ends the script element.
        data=msgspec.json.encode(data).decode().replace("<", "\\u003c"),
        **values,
    )


def _read(name: str) -> str:
    return (PAGE / name).read_text()


def _bundle(modules: Sequence[str]) -> str:
    """The modules as one, without their imports of each other and without exports."""
    whole = "\n".join(_read(name) for name in modules)
    without_imports = re.sub(r"^import .*?;\n", "", whole, flags=re.MULTILINE)
    return re.sub(r"^export ", "", without_imports, flags=re.MULTILINE)


def _policy(scripts: Sequence[EmbeddedScript]) -> str:
    """The Content-Security-Policy: nothing is loaded, and only these scripts run."""
    digests = " ".join(f"'sha256-{script.digest}'" for script in scripts)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {digests}"
