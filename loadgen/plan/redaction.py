"""Parts of plans as views, reports and archives show them: without secrets.

Texts that are sent or compared with replies are hidden whole, and values in URLs by their names, as
loadgen.plan.secrets knows them. Patterns, paths and the names of things are shown.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from loadgen.plan.params import Param
from loadgen.plan.publish import STAMP, Publish
from loadgen.plan.reply import AutoReply
from loadgen.plan.secrets import HIDDEN, is_secret, shown_subprotocols, shown_url
from loadgen.plan.sessions import PythonSession, Script, SessionSpec

SENT = frozenset({"headers", "text", "hex", "base64", "json", "form", "auth", "value", "equals"})
"""The fields of steps and their checks whose texts may be passwords, tokens or personal data."""
LINKS = frozenset({"url", "path"})
"""The fields of steps that are URLs, or a part of one."""
ShownUrl = Callable[[str], str]
"""Returns a URL without its secrets."""


def redacted_session(session: SessionSpec, shown: ShownUrl = shown_url) -> SessionSpec:
    """Returns a session without the texts that it sends, and without its source."""
    reply = tuple(map(_redacted_reply, session.reply))
    if isinstance(session, PythonSession):
        return msgspec.structs.replace(session.without_data, source="", reply=reply)
    if isinstance(session, Script):
        return msgspec.structs.replace(session, steps=_hidden(session.steps, shown), reply=reply)
    return msgspec.structs.replace(session, reply=reply)


def _redacted_reply(reply: AutoReply) -> AutoReply:
    return msgspec.structs.replace(
        reply, send=HIDDEN, hex="", base64="", json=_without_texts(reply.json)
    )


def _hidden(value: Any, shown: ShownUrl) -> Any:
    """Returns steps, or parts of them, in which fields of SENT have no texts."""
    if isinstance(value, tuple):
        return tuple(_hidden(one, shown) for one in value)
    if not isinstance(value, msgspec.Struct):
        return value
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return msgspec.structs.replace(
        value, **{name: _field(name, field, shown) for name, field in fields.items()}
    )


def _field(name: str, field: Any, shown: ShownUrl) -> Any:
    """Returns the field of a step, or of a part of one, as it is shown."""
    if name in SENT:
        # Of an HTTP reply `form` says how it is read; of a request it is the fields of a form.
        return field if name == "form" and isinstance(field, str) else _without_texts(field)
    if name in LINKS:
        return shown(field)
    return shown_subprotocols(field) if name == "subprotocols" else _hidden(field, shown)


def redacted_params(params: Mapping[str, Param]) -> dict[str, Param]:
    """Returns parameters without the values that their names call secret."""
    return {
        name: HIDDEN if is_secret(name) else shown_url(value) if isinstance(value, str) else value
        for name, value in params.items()
    }


def redacted_publish(publish: Publish) -> Publish:
    """Returns a publication with its address and the places of its stamp alone."""
    return msgspec.structs.replace(
        publish,
        url=shown_url(publish.url),
        headers=dict.fromkeys(publish.headers, ""),
        body=redacted_body(publish.body),
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
