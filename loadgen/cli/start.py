"""The console scripts of agent, target and tune, and `loadgen` itself.

Subtle: a script is imported for up to half a second before it can do anything about Ctrl-C. Until
then Ctrl-C ends it as it ends any program, without a traceback. So nothing else is imported here
before that is set; `run_command` takes it back.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup and `&` may ignore it
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def agent() -> None:
    """Runs `loadgen-agent`."""
    from loadgen.cli.agent import main  # noqa: PLC0415 -- see above

    main()


def target() -> None:
    """Runs `loadgen-target`."""
    from loadgen.cli.target import main  # noqa: PLC0415 -- see above

    main()


def tune() -> None:
    """Runs `loadgen-tune`."""
    from loadgen.cli.tune import main  # noqa: PLC0415 -- see above

    main()


def loadgen() -> None:
    """Runs `loadgen COMMAND`."""
    from loadgen.cli.commands import main  # noqa: PLC0415 -- see above

    main()
