"""Elements of a Tsung configuration, read from XML that a test writes out."""

import re

import pytest

from coordinator.tsung.document import read_document
from coordinator.tsung.element import Element, Note, TsungError


def read(xml: str) -> tuple[Element, list[Note]]:
    """Returns the root element, and the list that its notes go to."""
    return read_document(xml.encode(), "t.xml")


def refused(call, *arguments, **options) -> tuple[int, str]:
    """Returns the line of the error that a call raises, and what it says."""
    with pytest.raises(TsungError) as caught:
        call(*arguments, **options)
    found = re.fullmatch(r"t\.xml:(\d+): (.+)", str(caught.value))
    assert found, f"{caught.value} does not begin with file and line"
    return int(found[1]), found[2]
