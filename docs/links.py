"""MkDocs hooks: pages that live outside docs/, and links that lead there.

The documents link to each other and to files of the repository by relative paths, as they stand on
GitHub. The site has a page for each document in `PAGES`. A link to any other file outside docs/
becomes a link into the repository when `repo_url` is set, and plain text when it is not.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "deploy/ansible/README.md": "ansible.md",
    "sysctl/README.md": "sysctl.md",
}
"""The page of each document outside docs/, by its path in the repository."""
CODE = re.compile(r"^\[(examples/[^\]]+)\]\(\.\./\1\)$", re.MULTILINE)
"""A line that only links to a file of examples/; the site has the file's text in its place."""
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of `PAGES` that docs/ does not have."""
    from mkdocs.structure.files import File  # noqa: PLC0415  # the tests run without MkDocs

    for source, page in PAGES.items():
        if files.get_file_from_path(page) is None:
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrites the links of one page."""
    return rewrite(markdown, page.file.src_uri, config.repo_url or "")


def rewrite(markdown: str, page: str, repo_url: str = "") -> str:
    """Returns the text of a page with each link to a file outside docs/ rewritten for the site.

    Raises FileNotFoundError for a link to a file that does not exist.
    """
    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(_rewriter(page, repo_url), text) for text in parts[::2]]
    parts[1::2] = [_code(path) for path in parts[1::2]]
    return "".join(parts)


def _code(path: str) -> str:
    """Returns a file as a block of code under its name."""
    kind = "toml" if path.endswith(".toml") else "python"
    return f'```{kind} title="{path}"\n{(ROOT / path).read_text()}```'


def _rewriter(page: str, repo_url: str) -> Callable[[re.Match[str]], str]:
    source = next((path for path, name in PAGES.items() if name == page), f"docs/{page}")

    def replace(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        inside = PAGES.get(path) or (path[5:] if path.startswith("docs/") else "")
        if inside:
            there = posixpath.relpath(inside, posixpath.dirname(page) or ".")
            return f"[{link[1]}]({there}{link[3] or ''})"
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{source} links to {link[2]}")
        return f"[{link[1]}]({repo_url.rstrip('/')}/blob/HEAD/{path})" if repo_url else link[1]

    return replace
