"""HTML in which nothing is forgotten to be escaped: whatever is no Html yet is text."""

import html
from collections.abc import Iterable, Sequence

VOID = {"meta", "link"}


class Html(str):
    """A piece of finished HTML."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: str | bool) -> Html:
    """An element. Attributes are written with `_` for `-` and a `_` behind Python's own words;
    True has no value."""
    opening = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not False
    )
    if name in VOID:
        return Html(f"<{name}{opening}>")
    return Html(f"<{name}{opening}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Pieces one after the other; what is no Html is escaped."""
    return Html(
        "".join(child if isinstance(child, Html) else html.escape(str(child)) for child in children)
    )


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], **attributes: str
) -> Html:
    """A table whose first column names the rows."""
    lines = [
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in others))
        for first, *others in rows
    ]
    titles = tag("tr", *(tag("th", title, scope="col") for title in head))
    whole = tag(
        "table",
        tag("caption", caption, class_="sr"),
        tag("thead", titles),
        tag("tbody", *lines),
        **attributes,
    )
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _attribute(key: str, value: str | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
