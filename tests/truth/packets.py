"""The packets of a run as tshark read them: a witness of its own."""

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.debian import installed
from tests.processes import Address, Command, Coordinator, coordinator, eventually

FIELDS = ("tcp.stream", "frame.time_epoch", "tcp.flags.syn", "tcp.flags.ack", "tcp.dstport",
          "http.response.code", "websocket.opcode")  # fmt: skip


class Capture:
    """The times of all packets of a run, in seconds since 1970."""

    def __init__(self, file: Path, port: int) -> None:
        self.syns: dict[int, float] = {}
        """The first SYN of each connection."""
        self.pings: dict[int, list[float]] = defaultdict(list)
        self.handshakes: list[float] = []
        """Milliseconds from the SYN to the 101."""
        self.round_trips: list[float] = []
        """Milliseconds from a ping to its pong; the server keeps their order to within a delay."""
        for line in self._read(file, port):
            self._take(line.split("\t"), port)

    @staticmethod
    def _read(file: Path, port: int) -> list[str]:
        words = [word for field in FIELDS for word in ("-e", field)]
        decode = ["-d", f"tcp.port=={port},http"]
        done = subprocess.run(
            [installed("tshark"), "-r", str(file), *decode, "-T", "fields", *words],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.splitlines()

    def _take(self, fields: list[str], port: int) -> None:
        stream, time, syn, ack, to, code, opcodes = fields
        number, at = int(stream), float(time)
        if syn in ("1", "True") and ack in ("0", "False"):
            self.syns.setdefault(number, at)
        elif code == "101":
            self.handshakes.append(1000 * (at - self.syns[number]))
        for opcode in filter(None, opcodes.split(",")):
            if opcode == "9" and to == str(port):
                self.pings[number].append(at)
            elif opcode == "10" and to != str(port):
                self.round_trips.append(1000 * (at - self.pings[number][-1]))


@contextmanager
def captured(
    serving: AbstractContextManager[Address], *options: str, only: str = ""
) -> Iterator[tuple[Capture, Coordinator]]:
    """The packets of a run that is over; `only` those of a further filter."""
    with TemporaryDirectory() as folder, serving as server:
        file = Path(folder) / "packets.pcap"
        packets = f"tcp port {server.port}{only and f' and {only}'}"
        words = [installed("tshark"), "-q", "-i", "lo", "-B", "64", "-f", packets]
        witness = Command([*words, "-w", str(file)])
        try:
            eventually(lambda: "Capturing" in witness.err, lambda: witness.err)
            eventually(file.exists, "the file of packets")
            with coordinator(Path(folder) / "runs", *options, server.ws) as run:
                assert run.end(180) == 0, run.err
        finally:
            witness.process.terminate()
            witness.end()
            witness.close()
        yield Capture(file, server.port), run
