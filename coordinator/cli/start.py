"""The console scripts of coordinator and report: see loadgen/cli/start.py."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup and `&` may ignore it
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def coord() -> None:
    """Runs `loadgen-coord`."""
    from coordinator.cli.coord import main  # noqa: PLC0415 -- see there

    main()


def report() -> None:
    """Runs `loadgen-report`."""
    from coordinator.cli.report import main  # noqa: PLC0415 -- see there

    main()
