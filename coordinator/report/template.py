"""Renders the templates of HTML pages.

Every value is escaped, unless the template marks it as safe; an undefined one is an error.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.text import count, seconds

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """Returns the environment of all templates."""
    # A coordinator renders nothing before its run ends: until then it saves the 2 MiB of Jinja2.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "seconds": seconds}
    return environment


def render(template: str, **values: Any) -> str:
    """Returns the text of a template.

    `template` is its path below the coordinator's folder.
    """
    return environment().get_template(template).render(values)
