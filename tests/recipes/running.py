"""The servers of recipes, as processes of their own on free ports.

Each function returns what a Recipe takes as its server.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from tests.debian import installed
from tests.node import node_words
from tests.processes import PATIENCE, free_port, listening

HERE = Path(__file__).parent / "servers"

Serving = Callable[[], AbstractContextManager[str]]


def by_node(script: str, resource: str) -> Serving:
    """Returns a server of servers/, run by `node SCRIPT PORT`."""
    return _by_words(lambda port: node_words(HERE / script, str(port)), resource)


def by_python(module: str, resource: str) -> Serving:
    """Returns a server of servers/, run by `python -m MODULE PORT`."""
    name = f"tests.recipes.servers.{module}"
    return _by_words(lambda port: [sys.executable, "-m", name, str(port)], resource)


def _by_words(words: Callable[[int], list[str]], resource: str) -> Serving:
    @contextmanager
    def serving() -> Iterator[str]:
        port = free_port()
        with listening(words(port), port):
            yield f"ws://127.0.0.1:{port}{resource}"

    return serving


# Subtle: without a listener for plain MQTT this mosquitto does not start (its issue 2284).
MOSQUITTO = Template("""
listener $plain 127.0.0.1
listener $port
protocol websockets
allow_anonymous false
password_file $folder/passwords
user root
""")


@contextmanager
def mosquitto() -> Iterator[str]:
    """Debian's mosquitto; its user is `load`, with the password `secret`."""
    broker = installed("mosquitto")
    port = free_port()
    with TemporaryDirectory() as folder:
        passwords = [*("mosquitto_passwd", "-b", "-c", f"{folder}/passwords"), "load", "secret"]
        subprocess.run(passwords, check=True, capture_output=True)
        config = Path(folder) / "mosquitto.conf"
        config.write_text(MOSQUITTO.substitute(port=port, plain=free_port(), folder=folder))
        with listening([broker, "-c", str(config)], port):
            yield f"ws://127.0.0.1:{port}/mqtt"


PROSODY = Template("""
run_as_root = true
pidfile = "$folder/prosody.pid"
data_path = "$folder/data"
log = { warn = "*console" }
http_interfaces = { "127.0.0.1" }
http_ports = { $port }
https_ports = {}
http_default_host = "localhost"
c2s_ports = {}
modules_enabled = { "saslauth", "disco", "websocket", "pings" }
plugin_paths = { "$folder" }
modules_disabled = { "s2s" }
consider_websocket_secure = true
authentication = "internal_plain"
VirtualHost "localhost"
Component "rooms.localhost" "muc"
  muc_room_locking = false
""")
PINGS = """
local stanza = require "util.stanza";
module:add_timer(0.3, function ()
  for jid, session in pairs(prosody.full_sessions) do
    local iq = stanza.iq({ type = "get", from = module.host, to = jid, id = "ping" });
    session.send(iq:tag("ping", { xmlns = "urn:xmpp:ping" }));
  end
  return 0.3;
end);
"""
"""A module that pings each client, as that of prosody's community does but more often."""


@contextmanager
def prosody() -> Iterator[str]:
    """Debian's prosody; its user is `load@localhost`, with the password `secret`."""
    server = installed("prosody")
    port = free_port()
    with TemporaryDirectory() as folder:
        accounts = Path(folder) / "data" / "localhost" / "accounts"
        accounts.mkdir(parents=True)
        (accounts / "load.dat").write_text('return { password = "secret" };\n')
        (Path(folder) / "mod_pings.lua").write_text(PINGS)
        config = Path(folder) / "prosody.cfg.lua"
        config.write_text(PROSODY.substitute(port=port, folder=folder))
        with listening([server, "--config", str(config), "-F"], port):
            yield f"ws://127.0.0.1:{port}/xmpp-websocket"


RABBITMQ = Template("""
listeners.tcp = none
stomp.listeners.tcp = none
web_stomp.tcp.ip = 127.0.0.1
web_stomp.tcp.port = $port
""")


@contextmanager
def rabbitmq() -> Iterator[str]:
    """Debian's RabbitMQ with its plugin for STOMP.

    Its user is `guest`, and so is the password. Its epmd, by which nodes of Erlang find each other,
    is one of its own: the common one would outlive it.
    """
    epmd = installed("epmd", "erlang-base")
    installed("rabbitmq-server")
    port, epmd_port = free_port(), free_port()
    with TemporaryDirectory() as folder:
        (Path(folder) / "plugins").write_text("[rabbitmq_web_stomp].\n")
        (Path(folder) / "rabbitmq.conf").write_text(RABBITMQ.substitute(port=port))
        settings = {
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "HOME": folder,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_NODENAME": f"loadgen-{port}@localhost",
        }
        environment = os.environ | settings
        server = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]  # that of /usr/sbin is for its own user
        with (
            listening([epmd], epmd_port, env=environment),
            listening(server, port, 4 * PATIENCE, env=environment),
        ):
            yield f"ws://127.0.0.1:{port}/ws"
