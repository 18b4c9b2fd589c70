"""Plays an example on a network of its own, in which `unshare` starts it.

Its hosts are names of loopback there, and its ports are free, so that a command runs word for word
beside others that use the same ones.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.debian import installed
from tests.processes import BIN, command, environment, listening

TLS = """
defaults
  mode tcp
  timeout connect 30s
  timeout client 1h
  timeout server 1h
listen tls
  bind 127.0.0.1:{port} ssl crt {folder}/server.pem
  server behind 127.0.0.1:{behind}
"""


class Place(NamedTuple):
    """A server's place, from a URL of an example."""

    secure: bool
    host: str
    port: int


class Surroundings(NamedTuple):
    """The folder and the servers of an example."""

    folder: str
    places: list[Place]
    mode: str
    server: str
    """The module of a server of tests/recipes that stands in for the target; empty: it is that."""


def main() -> None:
    """Plays one example; ends with its exit code."""
    folder, places, mode, server = json.loads(sys.argv[1])
    here = Surroundings(folder, [Place(*place) for place in places], mode, server)
    hosts = sorted({place.host for place in here.places})
    _name(Path(folder) / "hosts", hosts)
    variables = environment() | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "SSL_CERT_FILE": _certify(Path(folder), hosts),
    }
    with ExitStack() as stack:
        for place in here.places:
            _serve(stack, here, place)
        done = subprocess.run(["bash", "-c", sys.argv[2]], cwd=folder, env=variables, check=False)
    sys.exit(done.returncode)


def _name(path: Path, hosts: list[str]) -> None:
    """Gives each host an address on loopback."""
    named = [host for host in hosts if not host[0].isdigit()]
    path.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {host}\n" for host in named))
    subprocess.run(["mount", "--bind", str(path), "/etc/hosts"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for host in hosts:
        if host[0].isdigit() and not host.startswith("127."):
            subprocess.run(["ip", "address", "add", f"{host}/32", "dev", "lo"], check=True)


def _certify(folder: Path, hosts: list[str]) -> str:
    """Returns the file of the authority that certifies all hosts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost", *hosts).private_key_and_cert_chain_pem.write_to_path(
        folder / "server.pem"
    )
    return str(folder / "ca.pem")


def _serve(stack: ExitStack, here: Surroundings, place: Place) -> None:
    """Runs the server of a place; a proxy takes the TLS off."""
    port = place.port + 10_000 if place.secure else place.port
    host = "127.0.0.1" if place.secure or not place.host[0].isdigit() else place.host
    if here.server:
        words = [sys.executable, "-m", here.server, str(port)]
    else:
        words = command("loadgen-target", "--listen", f"{host}:{port}", "--mode", here.mode)
    stack.enter_context(listening(words, port, host=host))
    if place.secure:
        config = Path(here.folder) / f"haproxy-{place.port}.cfg"
        config.write_text(TLS.format(folder=here.folder, port=place.port, behind=port))
        stack.enter_context(listening([installed("haproxy"), "-db", "-f", str(config)], place.port))


if __name__ == "__main__":
    main()
