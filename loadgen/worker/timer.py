"""A timer that is exact to a tenth of a millisecond; timerfd_create(2).

The event loop's own timers count whole milliseconds: woken by them, a worker is 0.6 ms late on
average, and every ping's time is that much too long. One wake costs the same CPU.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)


class _Setting(ctypes.Structure):
    """A struct itimerspec: the time between two calls, and the time of the first."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Timer:
    """An alarm clock: it calls a function once, at the time that was set last.

    Times are seconds on the monotonic clock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[float], object]) -> None:
        """`call` takes the time that was set."""
        self._call = call
        self.at = 0.0
        """The time that was set last."""
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._setting = _Setting()
        self._setting_ref = ctypes.byref(self._setting)
        loop.add_reader(self._fd, self._go_off)

    def set(self, at: float) -> None:
        """Sets the time; one that was set before and has not come yet is forgotten."""
        self.at = at
        # By the time that is left, not TFD_TIMER_ABSTIME: libfaketime shifts that wrongly.
        # Subtle: 0 would switch it off, and libfaketime, which scales it, makes 0 of 1 ns.
        left = max(1e-6, at - time.monotonic())
        self._setting.value_s = seconds = int(left)
        self._setting.value_ns = int((left - seconds) * 1e9)
        _libc.timerfd_settime(self._fd, 0, self._setting_ref, None)

    def _go_off(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew since the loop found it ready
            return
        self._call(self.at)
