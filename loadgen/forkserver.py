"""A process that loads modules once, and forks others.

What it forks shares the pages of interpreter and modules with it, and starts in a moment. It is
itself forked while its owner has one thread and no loop: with them, a fork would not work. If it
dies, the next start begins another one, which loads the modules anew.

Owner and server speak in packets (unix(7), SOCK_SEQPACKET). The owner asks for a process, with that
process's descriptors beside; the server answers with a pidfd, and later with the exit code.
"""

import asyncio
import gc
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import msgspec

from loadgen.process import (
    SignalHandler,
    end_with_parent,
    leave_ending_to_owner,
    set_command_line,
    set_process_name,
)

MAX_PACKET = 1 << 16
"""Bytes of a packet."""
MAX_DESCRIPTORS = 4
"""Descriptors beside a packet."""
BEYOND_ANY_DESCRIPTOR = 1 << 30
SERVER_NAME = "loadgen-fork"


class Program(msgspec.Struct, frozen=True):
    """The program of a forked process."""

    function: str
    """Its function, `module:name`; it takes no arguments."""
    name: str
    """The name that ps(1) and top(1) show, at most 15 bytes."""
    arguments: tuple[str, ...] = ()
    """Its command line, without the name."""
    last_signal: int = signal.SIGKILL
    """The signal that it gets when the server or the server's owner ends."""


class Request(msgspec.Struct):
    """The owner's request for a process."""

    number: int
    program: Program


class Started(msgspec.Struct, tag=True):
    """The server's answer: the process runs, and its pidfd is beside."""

    number: int


class NotStarted(msgspec.Struct, tag=True):
    """The server's answer: the kernel did not fork, for this errno."""

    number: int
    error: int


class Ended(msgspec.Struct, tag=True):
    """The end of a process: its exit code, negative for a signal."""

    number: int
    code: int


_request = msgspec.json.Decoder(Request)
_answer = msgspec.json.Decoder(Started | NotStarted | Ended)


class ForkedProcess:
    """A process that a fork server started."""

    def __init__(self, last_signal: int) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        """Its exit code, negative for a signal."""
        self.started: asyncio.Future[None] = loop.create_future()
        """Is done once it runs, or can't."""
        self._last_signal = last_signal
        self._pidfd = -1

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):  # it has ended just now
                signal.pidfd_send_signal(self._pidfd, number)

    def begin(self, pidfd: int) -> None:
        """Takes note that it runs."""
        os.set_inheritable(pidfd, False)
        self._pidfd = pidfd
        self.started.set_result(None)

    def end(self, code: int | None = None) -> None:
        """Takes note of its end; without a code it ended with the server."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if not self.started.done():
            self.started.set_result(None)
        if not self.ended.done():  # or a task that waited for it was cancelled, and it as well
            self.ended.set_result(-self._last_signal if code is None else code)


class ForkServer:
    """A fork server, for the process that owns it."""

    def __init__(self, *modules: str) -> None:
        """`modules` are those that the server loads for all that it forks."""
        self._modules = modules
        self._channel: socket.socket | None = None
        """The owner's end; None while no server lives."""
        self._pid = 0
        self._processes: dict[int, ForkedProcess] = {}
        """The processes that have not ended, by number."""
        self._next = 0

    def fork(self) -> None:
        """Forks the server from this process, which may have one thread and no loop."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # else both would write what waits
        # A collection would write to each page, so that none was shared; it passes frozen objects.
        gc.freeze()
        owner = os.getpid()
        mine, theirs = _channel()
        self._pid = os.fork()
        if self._pid == 0:
            mine.close()
            serve(theirs, owner, self._modules)
        theirs.close()
        self._channel = mine

    def _spawn(self) -> socket.socket:
        """Starts the server as a program of its own; returns the owner's end."""
        mine, theirs = _channel()
        with theirs:
            theirs.set_inheritable(True)
            words = [sys.executable, "-m", "loadgen.forkserver"]
            words += [str(theirs.fileno()), str(os.getpid()), *self._modules]
            self._pid = os.posix_spawn(sys.executable, words, os.environ)
        self._channel = mine
        return mine

    async def start(self, program: Program, descriptors: Sequence[int]) -> ForkedProcess:
        """Starts a process, whose descriptors 0, 1, 2… are copies of these.

        Raises OSError when the kernel does not fork.
        """
        channel = self._channel or self._spawn()
        process = ForkedProcess(program.last_signal)
        number, self._next = self._next, self._next + 1
        self._processes[number] = process
        asyncio.get_running_loop().add_reader(channel, self._receive)
        with suppress(BrokenPipeError):  # the server is dead, as `_receive` will find
            request = msgspec.json.encode(Request(number, program))
            socket.send_fds(channel, [request], descriptors)
        await asyncio.shield(process.started)  # the answer comes also after a cancellation
        return process

    def _receive(self) -> None:
        """Takes the answers that have come."""
        while self._channel is not None:
            try:
                packet, descriptors, _, _ = socket.recv_fds(self._channel, MAX_PACKET, 1)
            except BlockingIOError:
                return
            except ConnectionResetError:  # it died with requests that it had not read
                packet = b""
            if packet:
                self._take(_answer.decode(packet), descriptors)
            else:
                self._lose()

    def _take(self, answer: Started | NotStarted | Ended, descriptors: Sequence[int]) -> None:
        process = self._processes[answer.number]
        if isinstance(answer, Started):
            process.begin(*descriptors)
            return
        del self._processes[answer.number]
        if isinstance(answer, Ended):
            process.end(answer.code)
        else:
            process.started.set_exception(OSError(answer.error, os.strerror(answer.error)))

    def _lose(self) -> None:
        """Takes note that the server is dead, and all that it forked."""
        self.close()
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.end()

    def close(self) -> None:
        """Ends the server, and so what it forked."""
        if self._channel is None:
            return
        with suppress(RuntimeError):  # no loop runs any more
            asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self._channel = None
        with suppress(ChildProcessError):  # SIGCHLD is ignored: the kernel has waited for it
            os.waitpid(self._pid, 0)


def _channel() -> tuple[socket.socket, socket.socket]:
    """Returns the ends of owner and server; the owner's does not block."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setblocking(False)
    return mine, theirs


def serve(channel: socket.socket, owner: int, modules: Sequence[str]) -> NoReturn:
    """Runs a fork server until its owner, a process id, closes the channel or ends."""
    try:
        # Signals of the terminal are for the owner. What it forks stays in its session: the kernel
        # schedules by sessions (sched(7), autogroup), and a group for each worker costs more.
        os.setsid()
        handlers = leave_ending_to_owner()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, no exit code is kept
        end_with_parent(signal.SIGKILL)
        set_process_name(SERVER_NAME.encode())
        set_command_line([SERVER_NAME])
        if os.getppid() == owner:
            for module in modules:
                import_module(module)
            gc.freeze()
            _Server(channel, handlers).run()
        os._exit(0)
    except BaseException:  # a bug: the frames below are the owner's
        sys.excepthook(*sys.exc_info())
        os._exit(1)


class _Server:
    """The fork server itself: one thread, and no loop."""

    def __init__(
        self, channel: socket.socket, handlers: dict[signal.Signals, SignalHandler]
    ) -> None:
        """`handlers` are those that processes have for the signals that end one."""
        self._channel = channel
        self._handlers = handlers
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ)

    def run(self) -> None:
        """Serves the owner; returns when that is gone."""
        while True:
            for key, _ in self._selector.select():
                try:
                    if key.fileobj is not self._channel:
                        self._reap(*key.data)
                    elif not self._serve():
                        return
                except BrokenPipeError:
                    return

    def _serve(self) -> bool:
        """Starts the process that the owner asks for; returns False when it is gone."""
        packet, descriptors, _, _ = socket.recv_fds(self._channel, MAX_PACKET, MAX_DESCRIPTORS)
        if not packet:
            return False
        asked = _request.decode(packet)
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._answer(NotStarted(asked.number, error.errno or 0))
        else:
            if pid == 0:
                _become(asked.program, descriptors, server, self._handlers)
            pidfd = os.pidfd_open(pid)
            self._selector.register(pidfd, selectors.EVENT_READ, (asked.number, pid, pidfd))
            self._answer(Started(asked.number), pidfd)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _reap(self, number: int, pid: int, pidfd: int) -> None:
        """Tells the owner of the end of a process."""
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self._answer(Ended(number, os.waitstatus_to_exitcode(status)))

    def _answer(self, answer: Started | NotStarted | Ended, *descriptors: int) -> None:
        socket.send_fds(self._channel, [msgspec.json.encode(answer)], descriptors)


def _become(
    program: Program,
    descriptors: Sequence[int],
    server: int,
    handlers: dict[signal.Signals, SignalHandler],
) -> NoReturn:
    """Runs a program in a process that was just forked, and exits."""
    code = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)  # a later one of them has a greater number than this
        # What is left would keep the other processes' pipes open.
        os.closerange(len(descriptors), BEYOND_ANY_DESCRIPTOR)
        for ending, handler in handlers.items():
            signal.signal(ending, handler)
        end_with_parent(signal.Signals(program.last_signal))
        set_process_name(program.name.encode())
        set_command_line([program.name, *program.arguments])
        if os.getppid() != server:
            os._exit(1)
        sys.argv = [program.name, *program.arguments]
        sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
        module, _, function = program.function.partition(":")
        getattr(import_module(module), function)()
        code = 0
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:  # as an interpreter does it
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            # It is closed, or nobody reads it, or there is none.
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)


def _exit_code(end: SystemExit) -> int:
    """Returns the exit code of a SystemExit; its text goes to standard error."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


def main() -> None:
    """Runs the server that `_spawn` starts: CHANNEL OWNER MODULE…"""
    channel, owner, *modules = sys.argv[1:]
    serve(socket.socket(fileno=int(channel)), int(owner), modules)


if __name__ == "__main__":
    main()
