"""The way of one agent to its coordinator, which measures its posts."""

import re
import socket
import threading
from contextlib import suppress
from time import monotonic

POST = re.compile(rb"POST /v1/agents/[^/. ]+\.([^/ ]+)/seconds")


class Exchange:
    """The time since which one connection waits for a reply; 0 while it does not."""

    asked = 0.0


class Relay:
    """Passes the bytes of connections on to an address, both ways."""

    def __init__(self, host: str, to: tuple[str, int]) -> None:
        """Listens on a free port of `host`."""
        self.secrets: set[str] = set()
        """The secrets of the agents that posted in the clear."""
        self._to = to
        self._longest = 0.0
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((host, 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def take_longest(self) -> float:
        """Returns the longest time from a request to its reply, in seconds.

        It is that since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest

    def close(self) -> None:
        """Ends all connections, and takes no other."""
        for sock in (self._listener, *self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                agent, _ = self._listener.accept()
                try:
                    coordinator = socket.create_connection(self._to, 10)
                except OSError:  # no coordinator is there, or it takes no connection
                    agent.close()
                    continue
                coordinator.settimeout(None)
                for sock in (agent, coordinator):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [agent, coordinator]
                exchange = Exchange()
                for pump, ends in (
                    (self._ask, (agent, coordinator)),
                    (self._reply, (coordinator, agent)),
                ):
                    threading.Thread(target=pump, args=(*ends, exchange), daemon=True).start()

    def _ask(self, agent: socket.socket, coordinator: socket.socket, exchange: Exchange) -> None:
        with suppress(OSError), agent, coordinator:
            while data := agent.recv(1 << 16):
                self.secrets |= {secret.decode() for secret in POST.findall(data)}
                exchange.asked = monotonic()
                coordinator.sendall(data)

    def _reply(self, coordinator: socket.socket, agent: socket.socket, exchange: Exchange) -> None:
        with suppress(OSError), coordinator, agent:
            while data := coordinator.recv(1 << 16):
                if exchange.asked:
                    self._longest = max(self._longest, monotonic() - exchange.asked)
                    exchange.asked = 0.0
                agent.sendall(data)
