"""Reads what a request does with its reply: <match> and <dyn_variable>."""

import re
from typing import Literal

from coordinator.tsung.element import Element
from coordinator.tsung.text import script_text
from loadgen.plan.script import Extract, Match

Kind = Literal["connect", "message", "close", "http"]
"""The kind of request, by its reply."""
FORM_FIELD = "name=[\"']{name}[\"'] (?:[^>]* )?value=[\"']([^\"']*)[\"']"
"""The default of a dyn_variable, as in Tsung: the value of the HTML form field of that name."""


def read_match(match: Element, kind: Kind, read_at: int) -> Match:
    """Returns an action on a reply; raises TsungError."""
    match.only(
        "do",
        "when",
        "subst",
        "name",
        "max_loop",
        "loop_back",
        "max_restart",
        "sleep_loop",
        "skip_headers",
        "apply_to_content",
    )
    if match.get("apply_to_content", "undefined") != "undefined":
        raise match.error(
            "apply_to_content calls Erlang code; take it out, and match the reply as it is"
        )
    do = match.choice(
        "do", ("continue", "log", "dump", "loop", "restart", "abort", "abort_test"), "continue"
    )
    if do in ("log", "dump"):
        match.note_once(
            f"do={do} is written to the agents' logs, a few a second, instead of a file of its own"
        )
    subst = match.flag("subst")
    whole = kind == "http" and match.get("skip_headers", "no") != "http"
    return Match(
        pattern=script_text(match, match.text.strip(" \n"), subst=subst, read_at=read_at),
        when=(
            "nomatch"
            if match.choice("when", ("match", "nomatch"), "match") == "nomatch"
            else "match"
        ),
        do=do,  # type: ignore[arg-type]  # one of the choices
        name=match.get("name", "-"),
        subst=subst,
        form="http" if whole else "text",
        max_loop=match.integer("max_loop", 20),
        loop_back=match.integer("loop_back", 0),
        max_restart=match.integer("max_restart", 3),
        sleep_loop=float(match.integer("sleep_loop", 5)),
    )


def read_extract(element: Element, kind: Kind) -> Extract:
    """Returns a variable set from a reply; raises TsungError."""
    element.only("name", "re", "jsonpath", "header", "xpath", "pgsql_expr", "regexp", "decode")
    name = element.need("name")
    for foreign in ("xpath", "pgsql_expr"):
        if element.get(foreign):
            raise element.error(f"{foreign} is not looked for in replies; write re or jsonpath")
    if element.get("regexp"):
        raise element.error("regexp is read by no Tsung of today; write re")
    if element.get("header"):
        return _header_extract(element, name, kind)
    if kind == "connect":
        element.note(
            "the reply to a connect has no text, in Tsung too: the variable becomes empty;"
            ' header="…" finds some'
        )
    if element.get("jsonpath"):
        return Extract(var=name, by="jsonpath", expr=element.get("jsonpath"))
    return Extract(
        var=name,
        expr=element.get("re") or FORM_FIELD.format(name=name),
        decode=element.get("decode") == "html_entities",
        form="http" if kind == "http" else "text",
    )


def _header_extract(element: Element, name: str, kind: Kind) -> Extract:
    header = element.get("header")
    if kind not in ("connect", "http"):
        raise element.error("a message has no headers; header belongs to a connect or <http>")
    name_of, slash, part = header.partition("/")
    if slash and kind == "http":
        expr = rf'(?im)^{re.escape(name_of)}:.*?\b{re.escape(part)}="?([^",;\s]*)'
        return Extract(var=name, expr=expr, form="http")
    if slash:
        raise element.error(
            f"{header!r} is a part of a header; write the header's name, and take it apart by"
            " setdynvars"
        )
    return Extract(var=name, by="header", expr=header)
