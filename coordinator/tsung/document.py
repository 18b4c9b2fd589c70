"""Reads XML with expat; elements keep their lines, and no other file is read."""

import re
from xml.parsers import expat

from coordinator.tsung.element import Element, Note, TsungError

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
"""Levels of nested elements; Tsung's own files have a handful."""
MAX_ENTITY = 65_536
"""Characters of an entity's text."""
_OUTSIDE = re.compile(
    rb"""(?<=<!DOCTYPE)(\s+[\w:.-]+\s+)(SYSTEM\s+|PUBLIC\s+("[^"]*"|'[^']*')\s+)("[^"]*"|'[^']*')"""
)


def read_document(
    data: bytes, file: str, refusals: list[TsungError] | None = None
) -> tuple[Element, list[Note]]:
    """Returns the root element, and the list that its elements add notes to.

    Refusals go to the given list; without one, the first of them is raised. Raises TsungError for a
    document that is not well-formed, too large, or not self-contained.
    """
    if len(data) > MAX_BYTES:
        raise TsungError(f"{file}:1: more than {MAX_BYTES >> 20} MiB; a configuration is smaller")
    return _Reader(file, refusals).read(_without_dtd(data))


def _without_dtd(data: bytes) -> bytes:
    # Subtle: where a DTD is named, expat takes every unknown entity for one of the DTD, and leaves
    # it out in silence. The DTD is never read, so the document is parsed without naming one, and an
    # unknown entity is an error.
    head, root, rest = data.partition(b"<tsung")
    return (
        _OUTSIDE.sub(
            lambda match: match[1] + re.sub(rb"[^\n]", b" ", match[0][len(match[1]) :]), head
        )
        + root
        + rest
    )


class _Reader:
    def __init__(self, file: str, refusals: list[TsungError] | None) -> None:
        self._file = file
        self._refusals = refusals
        self._notes: list[Note] = []
        self._open: list[Element] = []
        self._root: Element | None = None
        self._size = 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._skipped
        parser.SetParamEntityParsing(
            expat.XML_PARAM_ENTITY_PARSING_ALWAYS
        )  # so that `%name;` is reported

    def read(self, data: bytes) -> tuple[Element, list[Note]]:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            what = expat.errors.messages[error.code]
            raise TsungError(
                f"{self._file}:{error.lineno}: not well-formed XML ({what}); fix the markup"
            ) from error
        except TsungError:
            raise
        except (LookupError, ValueError) as error:  # an encoding that Python or expat does not know
            raise self._error(
                f"its encoding can't be read ({error}); save the file as UTF-8"
            ) from error
        assert self._root is not None, "a document without a root is not well-formed"
        return self._root, self._notes

    def _error(self, text: str) -> TsungError:
        return TsungError(f"{self._file}:{self._parser.CurrentLineNumber}: {text}")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} elements in one another; take some apart")
        self._grow(sum(map(len, attributes.values())))
        line = self._parser.CurrentLineNumber
        element = Element(self._file, line, name, attributes, self._notes, self._refusals)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        self._open.pop()

    def _text(self, data: str) -> None:
        self._grow(len(data))
        self._open[-1].text += data

    def _grow(self, size: int) -> None:
        """Bounds the size of the text, since entities can make a small file large."""
        self._size += size
        if self._size > MAX_BYTES:
            raise self._error(f"its entities make it more than {MAX_BYTES >> 20} MiB; write less")

    def _entity(
        self,
        name: str,
        parameter: bool,
        value: str | None,
        base: str | None,
        system: str | None,
        public: str | None,
        notation: str | None,
    ) -> None:
        if value is None:
            raise self._error(
                f"entity {name!r} is in another file, and none is ever read; put its text here"
            )
        if parameter or "&" in value or "%" in value or len(value) > MAX_ENTITY:
            raise self._error(
                f"entity {name!r} is more than plain text; write its text out where it is used"
            )

    def _skipped(self, name: str, parameter: bool) -> None:
        raise self._error(f"entity {name!r} is declared nowhere in this file; write its text out")
