"""One target under atheris.

The command is `python -m tests.fuzz.guided NAME [libFuzzer's arguments]`.
"""

import sys

import atheris

with atheris.instrument_imports(include=["loadgen", "coordinator"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
