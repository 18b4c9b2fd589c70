"""Texts with variables, and with functions of Tsung's that become variables."""

import re

from coordinator.tsung.element import Element

_FUNCTION = re.compile(r"%%(\w+:\w+)%%")
_VARIABLE = re.compile(r"%%_.+?%%", re.DOTALL)
USER_ID = "%%_tsung_userid%%"
UNIQUE_ID = "ts_user_server:get_unique_id"
REALLY_UNIQUE_ID = "ts_user_server:get_really_unique_id"
BROKEN = ("get_id", "get_idle", "get_offline", "get_online", "get_first")
"""Functions of ts_user_server that take no user: called from a text they end it, in Tsung."""


def function_text(element: Element, name: str, read_at: int) -> str:
    """Returns a text with variables for a function of Tsung's; raises TsungError.

    `read_at` is the time at which the configuration is read, in whole seconds since 1970.
    """
    if name == UNIQUE_ID:
        element.note_once(f"{name} is the user's number over the whole fleet, from 1")
        return USER_ID
    if name == REALLY_UNIQUE_ID:
        element.note_once(
            f"{name} is the time at which this file was read and the user's number, from 1"
        )
        return f"{read_at}-{USER_ID}"
    module, _, function = name.partition(":")
    if module == "ts_user_server" and function in BROKEN:
        raise element.error(
            f"{name} takes no user, and ends it in Tsung too; draw a number:"
            ' <setdynvars sourcetype="random_number" start="1" end="…">'
        )
    raise element.error(
        f"{name} calls Erlang code; set a variable by setdynvars, and write %%_name%%"
    )


def script_text(element: Element, text: str, *, subst: bool, read_at: int) -> str:
    """Returns a text of the configuration as a script has it.

    Adds a note for variables that are not replaced; raises TsungError for those that would not be
    replaced as they seem to be.
    """
    if not subst:
        if _VARIABLE.search(text):
            element.note('subst is not "true": variables are sent as they stand, in Tsung too')
        return text
    text = _FUNCTION.sub(lambda found: function_text(element, found[1], read_at), text)
    if "%%" in _VARIABLE.sub("", text):
        raise element.error(
            "a %% without a variable's name makes Tsung drop what follows; write %%_name%%, or take"
            " it out"
        )
    return text


def one_line(element: Element, text: str) -> str:
    """Returns the text of a header; raises TsungError for control characters."""
    if not text.isprintable():
        raise element.error(
            f"{text!r} can't be sent as a header; write it without control characters"
        )
    return text
