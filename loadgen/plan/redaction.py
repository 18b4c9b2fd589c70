"""Sessions and publications without what may be secret in them."""

from typing import Any

import msgspec

from loadgen.plan.publish import STAMP
from loadgen.plan.secrets import HIDDEN
from loadgen.plan.sessions import PythonSession, Script, SessionSpec

SENT = frozenset({"headers", "text", "hex", "base64", "json", "form", "auth", "value", "equals"})
"""The fields of steps and their checks whose texts may be passwords, tokens or personal data."""


def redacted_session(session: SessionSpec) -> SessionSpec:
    """Returns a session without the texts that it sends, and without its source."""
    reply = tuple(msgspec.structs.replace(one, send=HIDDEN) for one in session.reply)
    if isinstance(session, PythonSession):
        return msgspec.structs.replace(session.without_data, source="", reply=reply)
    if isinstance(session, Script):
        return msgspec.structs.replace(session, steps=_hidden(session.steps), reply=reply)
    return msgspec.structs.replace(session, reply=reply)


def _hidden(value: Any) -> Any:
    """Returns steps, or parts of them, in which fields of SENT have no texts."""
    if isinstance(value, tuple):
        return tuple(map(_hidden, value))
    if not isinstance(value, msgspec.Struct):
        return value
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return msgspec.structs.replace(
        value,
        **{
            name: _without_texts(field) if name in SENT else _hidden(field)
            for name, field in fields.items()
        },
    )


def redacted_body(body: str | dict[str, Any]) -> str | dict[str, Any]:
    """Returns the body of a publication with nothing but the place of its stamp."""
    return _without_texts(body)  # type: ignore[no-any-return]  # of the same shape


def _without_texts(value: Any) -> Any:
    """Returns a value of the same shape, in which no text can be read."""
    if isinstance(value, str):
        hidden = STAMP if STAMP in value else HIDDEN
        return hidden if value else value
    if isinstance(value, dict):
        return {name: _without_texts(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_without_texts, value))
    return value
