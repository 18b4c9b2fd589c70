"""One function for each reader of foreign bytes.

It takes any bytes, and raises when the reader does what it must not. A reader may refuse in the way
that its callers expect; any other exception is a crash.
"""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from coordinator.cli.report import FORMATS, TRENDS
from coordinator.report.export import comparison_report
from coordinator.report.trend import trend_of
from coordinator.run.gathering import RefusedError
from coordinator.run.run import BadPostError, Run
from coordinator.storage.reader import read_run
from coordinator.tsung.configuration import read_tsung
from loadgen.errors import OperatorError, PlanError
from loadgen.net.appwrite import read
from loadgen.net.deflate import Agreement, DeflateParser, Inflater
from loadgen.net.frames import BINARY, CLOSE, FAULT, PING, PONG, TEXT, Event, Parser
from loadgen.net.handshake import Handshake, _mistake_by_library, _ordinary, accept_of, key_of
from loadgen.net.refusal import explain
from loadgen.net.url import TargetUrl
from loadgen.plan.compress import Compress
from loadgen.plan.plan import Plan
from loadgen.plan.script import texts_in
from loadgen.planfile import read_plan, to_toml
from loadgen.stats.reasons import is_reason
from loadgen.stats.recorder import Recorder
from loadgen.wire import (
    WIRE,
    Hello,
    Orders,
    Post,
    Rehearsal,
    Report,
    Welcome,
    from_agent,
    from_wire,
    to_wire,
)

KEY = key_of(0x1234)
KINDS: tuple[Any, ...] = (Hello, Welcome, Post, Orders, Report, Rehearsal)
PARTS = b"\n--- next file\n"
"""The separator of the files of one run directory."""
FILES = ("seconds.ndjson", "run.json", "plan.toml", "watched.ndjson", "histograms.hlog")
"""Those that follow the summary."""


def frames(data: bytes) -> None:
    """Any split of the bytes gives the same events.

    The library finds the same messages in them.
    """
    keep = len(data) + 1
    whole = Parser(keep).feed(data)
    parser = Parser(keep)
    cut = [event for at in range(len(data)) for event in parser.feed(data[at : at + 1])]
    assert whole == cut, (whole, cut)
    assert len(Parser(3).feed(data)) == len(whole)
    assert _inflated(data) == _inflated(data, bytewise=True)
    counted = _inflated(data, reads=False)
    assert counted == _inflated(data, bytewise=True, reads=False)
    # The library does not check that text is UTF-8; its callers do.
    if not any(event.opcode == FAULT and event.size == 1007 for event in whole):
        ours, (theirs, between) = _to_the_end(whole), _library_events(data)
        # To the library a close between fragments is a fault; section 5.4 of RFC 6455 allows it.
        if between:
            assert ours.pop()[0] == CLOSE
        if _overlong(whole):  # the library accepts a short length in a long form
            theirs = theirs[: len(ours)]
        assert ours == theirs, (ours, theirs)


def _inflated(data: bytes, *, bytewise: bool = False, reads: bool = True) -> list[int]:
    """Returns the opcodes of the events up to a fault where compression is agreed."""
    inflater = Inflater(Agreement()) if reads else None
    parser = DeflateParser(len(data), inflater, Recorder(seed=1))
    parts = [data[at : at + 1] for at in range(len(data))] if bytewise else [data]
    return [event.opcode for part in parts for event in parser.feed(part)]


def _overlong(events: list[Event]) -> bool:
    """True when a control frame has more than seven bits of length.

    See RFC 6455, section 5.5.
    """
    return any(event.opcode == FAULT and b"overlong" in event.payload for event in events)


def _to_the_end(events: list[Event]) -> list[tuple[int, bytes]]:
    """Returns the messages up to the close, or the fault."""
    recorded: list[tuple[int, bytes]] = []
    for event in events:
        if event.opcode == FAULT:
            break
        recorded.append((event.opcode, event.payload))
        if event.opcode == CLOSE:
            break
    return recorded


def _library_events(data: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    """Returns the library's messages, and True for a refused close.

    It refuses a close between fragments.
    """
    protocol = ClientProtocol(parse_uri("ws://target/"), state=OPEN, max_size=None)
    protocol.receive_data(data)
    recorded: list[tuple[int, bytes]] = []
    message: tuple[int, bytes] | None = None
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode in (PING, PONG, CLOSE):
            recorded.append((int(frame.opcode), bytes(frame.data)))
            continue
        if frame.opcode in (TEXT, BINARY):
            message = int(frame.opcode), b""
        assert message is not None
        message = message[0], message[1] + bytes(frame.data)
        if frame.fin:
            recorded.append(message)
    return recorded, "incomplete fragmented message" in str(protocol.parser_exc)


def handshake(data: bytes) -> None:
    """A head that is valid at a glance is valid for the websockets library.

    A result is final.
    """
    data = data.replace(b"{accept}", accept_of(KEY))
    ours = Handshake("target", "/")
    checked = ours.check(data, KEY)
    assert ours.check(data, KEY) == checked
    if checked is None:
        return
    assert (
        checked.failure is None
        or checked.failure.startswith("http_")
        or is_reason("failed", checked.failure)
    )
    if checked.failure is not None:
        shown = explain(checked, 1)
        assert len(shown) < 8192
        assert all(sign.isprintable() or sign in "\n\t" for sign in shown)
    elif _ordinary(checked.head, accept_of(KEY)):
        assert _mistake_by_library(checked.head, KEY, (), None) is None, checked.head
    offering = Handshake("target", "/", compress=Compress())
    assert (offering.check(data, KEY) or checked)._replace(agreement=None) == checked or (
        b"sec-websocket-extensions" in data.lower()
    )


def appwrite(data: bytes) -> None:
    """Any text frame of a server has a type and a code."""
    message = read(data)
    assert isinstance(message.type, str)
    assert 0 <= message.code <= 10_000


def plan(data: bytes) -> None:
    """A file is a plan, or refused in one line; a plan reads back from its own file."""
    with _file("plan.toml", data) as path:
        try:
            found = read_plan(path)
        except PlanError as error:
            _one_line(error)
            return
        path.write_bytes(to_toml(found))
        assert read_plan(path) == found


def tsung(data: bytes) -> None:
    """A file is imported, or refused in one line; the plan can be written and read."""
    with _file("tsung.xml", data) as path:
        try:
            imported = read_tsung(path)
        except PlanError as error:
            _one_line(error)
            return
        path.write_bytes(to_toml(imported.plan))
        try:
            assert read_plan(path) == imported.plan
        except PlanError as error:
            raise AssertionError(f"an imported plan can't be read: {error}") from error


def wire(data: bytes) -> None:
    """Bytes are a message or raise DecodeError.

    A message encodes and decodes to itself. That of an agent can be printed.
    """
    for kind in KINDS:
        with contextlib.suppress(msgspec.DecodeError):
            message = from_wire(data, kind)
            assert from_wire(to_wire(message), kind) == message
        with contextlib.suppress(msgspec.DecodeError):
            said = from_agent(data, kind)
            assert from_agent(to_wire(said), kind) == said
            assert all(map(_is_printable, texts_in(msgspec.to_builtins(said, str_keys=True))))


def _is_printable(text: str) -> bool:
    return text.replace("\n", "").replace("\t", "").isprintable()


def run(data: bytes) -> None:
    """A run accepts or refuses any message in any state, and still ends."""
    lines = data.split(b"\n")[:20]
    state = Run(Plan(max=100), 1)
    agent = state.join(Hello("first", WIRE, "1", 10, (), {}), 0.0).id
    state.post(agent, Post(ready=True), 0.0)
    for now, line in enumerate(lines, 1):
        state.tick(float(now))
        with contextlib.suppress(msgspec.DecodeError, RefusedError):
            state.join(from_wire(line, Hello), float(now))
        with contextlib.suppress(msgspec.DecodeError, BadPostError):
            state.post(agent, from_wire(line, Post), float(now))
    state.notices.take()
    state.stop(100.0)
    for now in (101.0, 200.0):
        state.tick(now)
    assert not state.agents.active()


def run_directory(data: bytes) -> None:
    """Any run directory gives every form of a report, or one line.

    The line names the damage.
    """
    summary, *others = data.split(PARTS)
    with _file("summary.json", summary) as path:
        for name in ("seconds.ndjson", "plan.toml"):
            (path.parent / name).touch()
        for name, part in zip(FILES, others, strict=False):
            (path.parent / name).write_bytes(part)
        try:
            record = read_run(path.parent)
            for render in FORMATS.values():
                render(record)
            comparison_report([record, record], 5.0, "markdown")
            for show in TRENDS.values():
                show(trend_of([record, record], 5.0))
        except OperatorError as error:
            _one_line(error)


def url(data: bytes) -> None:
    """A URL gives parts that fit into a request line, or is refused in one line."""
    try:
        found = TargetUrl.parse(data.decode(errors="replace"))
    except PlanError as error:
        _one_line(error)
        return
    assert found.resource.isascii()
    assert not set("\r\n ") & set(found.resource + found.host_header)
    assert 0 < found.port < 65_536


def _one_line(error: Exception) -> None:
    assert str(error), "an error without a message"
    assert "\n" not in str(error), "an error of several lines"


@contextlib.contextmanager
def _file(name: str, data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (frames, handshake, appwrite, plan, tsung, wire, run, run_directory, url)
}
