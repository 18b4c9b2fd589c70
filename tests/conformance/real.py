"""The servers that people run, as processes of their own on free ports."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.conformance.load import Identity
from tests.debian import installed
from tests.node import node_words
from tests.processes import free_port, listening

HERE = Path(__file__).parent / "servers"

Words = Callable[[int, Identity | None], list[str]]
"""Makes the command line of a server from its port and its identity."""


class Server(NamedTuple):
    """One row of the table."""

    words: Words
    session: str = "talk.py"
    resource: str = "/"
    quick: bool = False
    """True for one that the gate loads."""


def _module(name: str) -> Words:
    def words(port: int, identity: Identity | None) -> list[str]:
        return [sys.executable, "-m", f"tests.conformance.servers.{name}", *_tail(port, identity)]

    return words


def _tail(port: int, identity: Identity | None) -> list[str]:
    files = [str(identity.certificate), str(identity.key)] if identity else []
    return [str(port), *files]


def _uvicorn(implementation: str) -> Words:
    def words(port: int, identity: Identity | None) -> list[str]:
        files = (
            ["--ssl-certfile", str(identity.certificate), "--ssl-keyfile", str(identity.key)]
            if identity
            else []
        )
        return [
            *(sys.executable, "-m", "uvicorn", "--log-level", "warning", "--port", str(port)),
            *("--ws", implementation, *files, "tests.conformance.servers.asgi:app"),
        ]

    return words


def _hypercorn(port: int, identity: Identity | None) -> list[str]:
    files = (
        ["--certfile", str(identity.certificate), "--keyfile", str(identity.key)]
        if identity
        else []
    )
    return [
        *(sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{port}", "--log-level"),
        *("warning", *files, "tests.conformance.servers.asgi:app"),
    ]


def _node(script: str) -> Words:
    def words(port: int, identity: Identity | None) -> list[str]:
        return node_words(HERE / script, *_tail(port, identity))

    return words


SERVERS: dict[str, Server] = {
    "websockets": Server(_module("by_websockets"), quick=True),
    "aiohttp": Server(_module("by_aiohttp"), quick=True),
    "uvicorn, websockets": Server(_uvicorn("websockets"), quick=True),
    "uvicorn, websockets-sansio": Server(_uvicorn("websockets-sansio")),
    "uvicorn, wsproto": Server(_uvicorn("wsproto")),
    "hypercorn": Server(_hypercorn),
    "ws": Server(_node("ws.js")),
    "Socket.IO": Server(
        _node("socketio.js"), "socketio.py", "/socket.io/?EIO=4&transport=websocket"
    ),
}
"""By name, in the order of the table."""

BACKEND = "ws"
"""The server behind nginx and HAProxy, which take TLS off."""

NGINX = Template("""
user root;
daemon off;
worker_processes 1;
pid $folder/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  server {
    listen 127.0.0.1:$port $tls;
    location / {
      proxy_pass http://127.0.0.1:$backend;
      proxy_http_version 1.1;
      proxy_set_header Host $$http_host;
      proxy_set_header Upgrade $$http_upgrade;
      proxy_set_header Connection "upgrade";
    }
  }
}
""")

HAPROXY = Template("""
global
  maxconn 4096
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
frontend front
  bind 127.0.0.1:$port $tls
  default_backend back
backend back
  server only 127.0.0.1:$backend
""")

TINYPROXY = Template("""
Listen 127.0.0.1
Port $port
MaxClients 2000
Timeout 60
Allow 127.0.0.0/8
LogLevel Error
""")


class Front(NamedTuple):
    """A server that stands in front of another one."""

    config: Template
    words: Callable[[Path], list[str]]
    tls: Callable[[Identity], str]
    """What its port needs to speak TLS, in its configuration."""


FRONTS: dict[str, Front] = {
    "nginx": Front(
        NGINX,
        lambda config: [installed("nginx", "nginx-light"), "-c", str(config)],
        lambda own: f"ssl; ssl_certificate {own.certificate}; ssl_certificate_key {own.key}",
    ),
    "HAProxy": Front(
        HAPROXY,
        lambda config: [installed("haproxy"), "-q", "-f", str(config)],
        lambda own: f"ssl crt {own.both}",
    ),
}


@contextmanager
def running(name: str, identity: Identity | None) -> Iterator[int]:
    """The port of a server or a front; with an identity it speaks TLS."""
    port = free_port()
    if name not in FRONTS:
        with listening(SERVERS[name].words(port, identity), port):
            yield port
        return
    front = FRONTS[name]
    with running(BACKEND, None) as backend, TemporaryDirectory() as folder:
        config = Path(folder) / "config"
        tls = front.tls(identity) if identity else ""
        config.write_text(
            front.config.substitute(folder=folder, port=port, backend=backend, tls=tls)
        )
        with listening(front.words(config), port):
            yield port


@contextmanager
def http_proxy() -> Iterator[str]:
    """The URL of a tinyproxy that connects to any port."""
    port = free_port()
    with TemporaryDirectory() as folder:
        config = Path(folder) / "tinyproxy.conf"
        config.write_text(TINYPROXY.substitute(port=port))
        with listening([installed("tinyproxy"), "-d", "-c", str(config)], port):
            yield f"http://127.0.0.1:{port}"
