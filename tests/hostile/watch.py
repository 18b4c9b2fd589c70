"""Exporters that `--watch` asks, and that answer as no exporter should."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.hostile.arena import OWNERS, Arena, Survived
from tests.hostile.trial import trial

METRICS = b"process_cpu_seconds_total 12445.0\nprocess_resident_memory_bytes 7e9\n"
Answer = Callable[[socket.socket], None]


@contextmanager
def exporter(answer: Answer) -> Iterator[tuple[str, list[bytes]]]:
    """An exporter with that answer; gives its URL, and the requests as they come."""
    requests: list[bytes] = []
    with socket.create_server((OWNERS, 0), backlog=64) as listener:

        def serve(sock: socket.socket) -> None:
            with sock, suppress(OSError):
                requests.append(sock.recv(65536))
                answer(sock)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threading.Thread(target=serve, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://{OWNERS}:{listener.getsockname()[1]}/metrics", requests
        listener.shutdown(socket.SHUT_RDWR)


def _head(*lines: str, size: int | None = None) -> bytes:
    """Returns the head of an answer; without a size it ends with the connection."""
    length = [] if size is None else [f"Content-Length: {size}"]
    return "\r\n".join(["HTTP/1.1 200 OK", "Connection: close", *lines, *length, "", ""]).encode()


def _watches(arena: Arena, url: str, seconds: float = 4.0) -> list[dict]:
    """Runs a fleet beside an exporter; returns the scrapes in its run directory."""
    arena.opened("--watch", f"server={url}")
    with arena.measured():
        time.sleep(seconds)
    files = [*arena.run.glob("*watch*"), *arena.run.glob("*scrape*")]
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


@trial("the answer comes in two segments, in the middle of a number", small=True)
def answer_in_two_segments(arena: Arena) -> Survived:
    """It is read to its end."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(_head(size=len(METRICS)) + METRICS[:29])
        time.sleep(0.2)
        sock.sendall(METRICS[29:])

    with exporter(answer) as (url, _):
        scrapes = _watches(arena, url)
        figures = {(one.get("cpu_s"), one.get("memory")) for one in scrapes}
        assert figures == {(12445.0, 7e9)}, figures
        return arena.drains_well()


@trial("it redirects to an address that the operator did not name", small=True)
def redirect_elsewhere(arena: Arena) -> Survived:
    """Nothing there is asked or shown."""
    asked: list[bytes] = []

    def secret(sock: socket.socket) -> None:
        asked.append(b"asked")
        sock.sendall(_head() + b"planted_inside 1\nbad planted-inside line\n")

    with exporter(secret) as (inside, _):

        def answer(sock: socket.socket) -> None:
            head = f"HTTP/1.1 302 Found\r\nLocation: {inside}\r\nContent-Length: 0\r\n\r\n"
            sock.sendall(head.encode())

        with exporter(answer) as (url, _):
            _watches(arena, url)
            arena.says("can't be scraped")
            assert not asked, "the redirect was followed"
            summary = arena.drains()
            return arena.survived(summary, None, "planted-inside")


@trial("it answers with 2 GB of zeros, compressed to 2 MB", small=True)
def compressed_bomb(arena: Arena) -> Survived:
    """It is not unpacked."""
    bomb = gzip.compress(bytes(200 << 20), 9) * 10

    def answer(sock: socket.socket) -> None:
        sock.sendall(_head("Content-Encoding: gzip", size=len(bomb)) + bomb)

    with exporter(answer) as (url, _):
        _watches(arena, url, 6.0)
        arena.says("can't be scraped")
        return arena.drains_well()


@trial("it answers without an end")
def answer_without_end(arena: Arena) -> Survived:
    """8 MiB are read at most."""
    noise = METRICS * 1000

    def answer(sock: socket.socket) -> None:
        sock.sendall(_head())
        while True:
            sock.sendall(noise)

    with exporter(answer) as (url, _):
        _watches(arena, url, 6.0)
        arena.says("can't be scraped")
        return arena.drains_well()


@trial("it answers with 7 MB of lines that are figures, which takes seconds to read")
def answer_of_many_lines(arena: Arena) -> Survived:
    """It is read beside the loop."""
    lines = b"".join(
        b'node_cpu_seconds_total{cpu="%d",mode="user"} 1.5\n' % n for n in range(140_000)
    )

    def answer(sock: socket.socket) -> None:
        sock.sendall(_head(size=len(lines)) + lines)

    with exporter(answer) as (url, _):
        _watches(arena, url, 8.0)
        return arena.drains_well()


@trial("it names figures by escape sequences, NaN and infinities")
def exporter_of_noise(arena: Arena) -> Survived:
    """A line that is no figure of a server is left out."""
    lines = (
        b"process_cpu_seconds_total NaN\nprocess_resident_memory_bytes +Inf\n"
        b'\x1b[2J{x="\x1b"} 1\nprocess_open_fds -1e308\n'
    )

    def answer(sock: socket.socket) -> None:
        sock.sendall(_head(size=len(lines)) + lines)

    with exporter(answer) as (url, _):
        _watches(arena, url)
        assert "\x1b" not in arena.coord.err, ascii(arena.coord.err)
        return arena.drains_well()
