"""The headers of a server's reply, as sessions read them."""

from collections.abc import Iterator, Mapping


class ReplyHeaders(Mapping[str, str]):
    """The values of headers by name, in upper or lower case.

    A header that came several times has all its values, joined by commas (RFC 9110 section 5.3);
    `getall` has each by itself.
    """

    __slots__ = ("_values",)

    def __init__(self, head: bytes) -> None:
        """`head` is the status line and all header lines."""
        self._values: dict[str, list[str]] = {}
        for line in _text_of(head).split("\r\n")[1:]:
            name, colon, value = line.partition(":")
            if colon:
                self._values.setdefault(name.strip().lower(), []).append(value.strip())

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getall(self, name: str) -> list[str]:
        """Returns every value of a header in the order of their lines; empty without one."""
        return list(self._values.get(name.lower(), ()))


def cookies_of(headers: ReplyHeaders) -> dict[str, str]:
    """Returns the cookies that headers set, by name, as a browser sends them back.

    RFC 6265 section 5.2. The standard library's `http.cookies` drops a cookie without a word when
    it does not know one of its attributes.
    """
    pairs = (text.partition(";")[0].partition("=") for text in headers.getall("set-cookie"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals and name.strip()}


def _text_of(head: bytes) -> str:
    """Returns the text of a head in UTF-8, or else with a character for each byte."""
    try:
        return head.decode()
    except UnicodeDecodeError:
        return head.decode("latin-1")
