"""The functions that are called before and after the load: `[setup]`."""

from typing import Annotated

import msgspec

from loadgen.plan.sessions import PythonSession, SessionFile

SETUP = "setup"
"""The function that is called before the load, unless another is named."""
TEARDOWN = "teardown"
"""The function that is called after the load, unless another is named."""
DATA = "data"
"""The variable of scripts that holds what setup returned."""
MAX_DATA = 1 << 20
"""The most bytes of JSON that setup may give to users."""


class SetupSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The functions of a Python file that one agent calls: setup and teardown.

    The plan holds the file's text, so agents need no copy.
    """

    file: str
    """Its path, for people; relative to the plan file. A folder has them in session.py."""
    function: str = SETUP
    """The function that is called before the load, with the parameters of the plan."""
    teardown: str | None = None
    """The function that is called after the load, with what setup returned; empty: none. None is
    `teardown`, where the file has one."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    """Seconds that each of them may take."""
    source: str = ""
    """The file's text."""
    sha256: str = ""
    """The SHA-256 of the text in UTF-8, in hexadecimal digits."""
    files: tuple[SessionFile, ...] = ()
    """The files that travel with it."""

    def code(self, function: str = "") -> PythonSession:
        """Returns one of its functions as code that agents write down and import."""
        return PythonSession(
            name=SETUP,
            file=self.file,
            function=function or self.function,
            source=self.source,
            sha256=self.sha256,
            files=self.files,
        )

    def redacted(self) -> "SetupSpec":
        """Returns it without the file's text and the data of its files."""
        return msgspec.structs.replace(self, source="", files=self.code().without_data.files)
