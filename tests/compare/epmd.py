"""Erlang's port mapper, one for each Tsung that runs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes import eventually, free_port


@contextmanager
def epmd() -> Iterator[str]:
    """Yields the port of a new epmd; Erlang would start one that never ends."""
    port = free_port()
    with subprocess.Popen(["epmd", "-port", str(port), "-address", "127.0.0.1"]) as mapper:
        try:
            eventually(lambda: _answers(port), "epmd answers")
            yield str(port)
        finally:
            mapper.kill()


def _answers(port: int) -> bool:
    return not subprocess.run(
        ["epmd", "-port", str(port), "-names"], capture_output=True, check=False
    ).returncode
