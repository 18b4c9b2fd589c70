"""Renders the templates of HTML pages.

Every value is escaped, unless the template marks it as safe; an undefined one is an error.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from coordinator.text import count, seconds

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {"count": count, "seconds": seconds}


def render(template: str, **values: Any) -> str:
    """Returns the text of a template.

    `template` is its path below the coordinator's folder.
    """
    return ENVIRONMENT.get_template(template).render(values)
