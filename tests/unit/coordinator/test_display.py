"""The choice between lines and a live table."""

import io
import pty

from coordinator.display import display_on
from coordinator.lines import Lines
from coordinator.screen import Screen


def test_a_terminal_gets_the_live_table_and_any_other_stream_lines():
    own, other = pty.openpty()
    with open(own, "rb", buffering=0), open(other, "w") as terminal:
        table = display_on(terminal)
        assert isinstance(table, Screen)
        table.close()
    assert isinstance(display_on(io.StringIO()), Lines)
