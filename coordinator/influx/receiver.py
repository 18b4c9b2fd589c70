"""The receivers of line protocol that `--export` names."""

from base64 import b64encode
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from loadgen.values import base_of


class LineReceiver(NamedTuple):
    """A database, or an agent in front of one, that takes line protocol by HTTP."""

    url: str
    """The address that lines are posted to, without credentials."""
    authorization: str
    """The Authorization header; empty where the receiver asks for none."""

    @property
    def name(self) -> str:
        """The address as it is shown: without the query, which may hold a password."""
        return self.url.partition("?")[0]


def receiver_of(text: str) -> LineReceiver:
    """Returns the receiver of `http://[USER:PASSWORD@|:TOKEN@]HOST/PATH?QUERY`.

    Raises ValueError for another text.
    """
    parts = base_of(text)
    if parts is None or not parts.path.strip("/"):
        raise ValueError(
            "it is not the URL of a receiver of line protocol; write for example"
            " http://HOST:8086/write?db=NAME, or"
            " http://:TOKEN@HOST:8086/api/v2/write?org=ORG&bucket=BUCKET"
        )
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "precision"]
    url = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        query=urlencode([*query, ("precision", "s")]),
        fragment="",
    ).geturl()
    return LineReceiver(
        url, _authorization(unquote(parts.username or ""), unquote(parts.password or ""))
    )


def _authorization(user: str, password: str) -> str:
    if user:
        return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
    return f"Token {password}" if password else ""
