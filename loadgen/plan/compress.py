"""The offer of permessage-deflate to a server (RFC 7692)."""

from typing import Annotated

import msgspec

from loadgen.errors import PlanError

PERMESSAGE_DEFLATE = "permessage-deflate"
_ON = ("1", "true", "yes", "on")
_OFF = ("", "0", "false", "no", "off")


class Compress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The parameters that are offered (RFC 7692 section 7.1).

    The defaults are a browser's offer. zlib deflates with no window of 2^8 bytes, so that the
    client's is not to be so small.
    """

    server_no_context_takeover: bool = False
    """True: the server has to begin each message anew."""
    client_no_context_takeover: bool = False
    """True: loadgen begins each message anew."""
    server_max_window_bits: Annotated[int, msgspec.Meta(ge=8, le=15)] | None = None
    """The largest window of the server's messages; None: not asked, so up to 15."""
    client_max_window_bits: Annotated[int, msgspec.Meta(ge=9, le=15)] | None = None
    """The largest window of loadgen's messages; None: the server may choose it."""
    level: Annotated[int, msgspec.Meta(ge=0, le=9)] = 6
    """How hard zlib tries for loadgen's messages; it is not sent."""

    @property
    def offer(self) -> str:
        """The value of the header Sec-WebSocket-Extensions."""
        bits = self.client_max_window_bits
        parts = [PERMESSAGE_DEFLATE]
        if self.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        if self.server_max_window_bits is not None:
            parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        parts.append("client_max_window_bits" if bits is None else f"client_max_window_bits={bits}")
        return "; ".join(parts)


def parse_compress(text: str) -> Compress | bool:
    """Returns what a text asks for: `on`, `off`, or parameters between semicolons.

    A parameter is a key of Compress: `server_no_context_takeover; client_max_window_bits=9`. Raises
    PlanError for any other text.
    """
    if text.strip().lower() in _OFF:
        return False
    if text.strip().lower() in _ON:
        return True
    values: dict[str, str | bool] = {}
    for part in text.split(";"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name in values:
            raise PlanError(f"{name} is there twice; write it once")
        if name == PERMESSAGE_DEFLATE and not equals and not values:
            continue
        if equals or name != "client_max_window_bits":  # without a value it is offered anyway
            values[name] = value if equals else True
    try:
        return msgspec.convert(values, Compress, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(Compress.__struct_fields__)
        what = f"{error}".replace(" - at `$.", " in `")
        raise PlanError(f"{what}; the parameters are {known}") from error
