"""The console scripts, which import their commands once Ctrl-C is safe.

Subtle: a command is imported for some tenths of a second before it can do anything about Ctrl-C.
Until then Ctrl-C ends it as it ends any program, without a traceback; `run_command` takes it back.
So nothing of a command is imported here before it is asked for.
"""

import signal
from importlib import import_module

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup and `&` may ignore it
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def loadgen() -> None:
    """Runs `loadgen`."""
    import_module("loadgen.__main__").main()


def agent() -> None:
    """Runs `loadgen-agent`."""
    import_module("loadgen.cli.agent").main()


def target() -> None:
    """Runs `loadgen-target`."""
    import_module("loadgen.cli.target").main()


def tune() -> None:
    """Runs `loadgen-tune`."""
    import_module("loadgen.cli.tune").main()


def coord() -> None:
    """Runs `loadgen-coord`; this package does not import the coordinator."""
    import_module("coordinator.cli.coord").main()


def report() -> None:
    """Runs `loadgen-report`."""
    import_module("coordinator.cli.report").main()
