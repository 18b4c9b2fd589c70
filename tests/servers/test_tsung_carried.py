"""Tsung's sessions of MQTT and XMPP over WebSocket, against real servers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.debian import installed
from tests.processes import closing_command, coordinator, eventually, free_port

USERS = 8
HEAD = f"""<?xml version="1.0"?>
<tsung>
  <clients><client host="localhost" use_controller_vm="true"/></clients>
  <servers><server host="127.0.0.1" port="PORT" type="websocket"/></servers>
  <load>
    <arrivalphase phase="1" duration="1" unit="second">
      <users arrivalrate="{USERS}" unit="second"/>
    </arrivalphase>
  </load>
"""
MQTT = (
    HEAD
    + """
  <options>
    <option name="websocket_path" value="/mqtt"/>
    <option name="websocket_subprotocols" value="mqtt"/>
    <option name="idle_timeout" value="10000"/>
  </options>
  <sessions>
    <session name="member" probability="100" type="ts_mqtt">
      <request subst="true">
        <mqtt type="connect" username="u%%_tsung_userid%%" password="p" keepalive="1"
              will_topic="gone" will_msg="%%_tsung_userid%%"/>
      </request>
      <request subst="true">
        <mqtt type="subscribe" topic="rooms/%%_tsung_userid%%" qos="1"/>
      </request>
      <request subst="true">
        <mqtt type="publish" topic="rooms/%%_tsung_userid%%" qos="1">from %%_tsung_userid%%</mqtt>
      </request>
      <request subst="true"><mqtt type="publish" topic="rooms/%%_tsung_userid%%">hi</mqtt></request>
      <request><mqtt type="waitForMessages" timeout="1"/></request>
      <request subst="true"><mqtt type="unsubscribe" topic="rooms/%%_tsung_userid%%"/></request>
      <request><mqtt type="disconnect"/></request>
    </session>
  </sessions>
</tsung>
"""
)
XMPP = (
    HEAD
    + f"""
  <options>
    <option name="websocket_path" value="/xmpp-websocket"/>
    <option name="websocket_subprotocols" value="xmpp"/>
    <option name="websocket_frame" value="text"/>
    <option name="idle_timeout" value="10000"/>
    <option type="ts_jabber" name="domain" value="localhost"/>
    <option type="ts_jabber" name="username" value="user"/>
    <option type="ts_jabber" name="passwd" value="pass"/>
    <option type="ts_jabber" name="userid_max" value="{USERS}"/>
    <option type="ts_jabber" name="global_number" value="{USERS}"/>
  </options>
  <sessions>
    <session name="chatter" probability="100" type="ts_jabber">
      <request><jabber type="connect" ack="parse" regexp="features"/></request>
      <transaction name="login">
        <request>
          <match do="abort" when="nomatch">success</match>
          <jabber type="auth_sasl" ack="parse" regexp="success|failure"/>
        </request>
        <request><jabber type="connect" ack="parse" regexp="features"/></request>
        <request><jabber type="auth_sasl_bind" ack="parse" regexp="xmpp-bind"/></request>
      </transaction>
      <request><jabber type="presence:initial" ack="global"/></request>
      <request subst="true">
        <jabber type="muc:join" room="r" nick="n%%_tsung_userid%%" ack="parse" regexp="groupchat"/>
      </request>
      <request><jabber type="close" ack="no_ack"/></request>
    </session>
  </sessions>
</tsung>
"""
)


def listens(port: int) -> bool:
    """True once something accepts connections on a port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A broker; yields its port for WebSocket. It needs one for TCP beside it."""
    port, other = free_port(), free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"user root\nallow_anonymous true\nlistener {other} 127.0.0.1\n"
        f"listener {port} 127.0.0.1\nprotocol websockets\n"
    )
    with closing_command([installed("mosquitto"), "-c", str(config)]):
        eventually(lambda: listens(port), "mosquitto listens")
        yield port


@contextmanager
def prosody(folder: Path) -> Iterator[int]:
    """An XMPP server with the accounts of all users; yields its port."""
    port = free_port()
    accounts = folder / "data" / "localhost" / "accounts"
    accounts.mkdir(parents=True)
    for number in range(1, USERS + 1):
        (accounts / f"user{number}.dat").write_text(f'return {{ password = "pass{number}" }};\n')
    config = folder / "prosody.cfg.lua"
    config.write_text(
        f"""
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ warn = "*console" }}
http_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {port} }}
https_ports = {{}}
http_default_host = "localhost"
c2s_ports = {{}}
modules_enabled = {{ "saslauth", "disco", "websocket" }}
modules_disabled = {{ "s2s" }}
consider_websocket_secure = true
authentication = "internal_plain"
VirtualHost "localhost"
Component "conference.localhost" "muc"
  muc_room_locking = false
"""
    )
    with closing_command([installed("prosody"), "--config", str(config), "-F"]):
        eventually(lambda: listens(port), "prosody listens")
        yield port


@pytest.mark.parametrize(
    ("server", "configuration", "requests"),
    [(mosquitto, MQTT, 5), (prosody, XMPP, 7)],
    ids=["mqtt", "xmpp"],
)
def test_every_request_gets_its_reply(tmp_path_factory, server, configuration, requests):
    """The close counts as one more request, unless the server was first."""
    folder, runs = tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("runs")
    with server(folder) as port:
        (folder / "tsung.xml").write_text(configuration.replace("PORT", str(port)))
        with coordinator(runs, "--tsung", str(folder / "tsung.xml")) as coord:
            assert coord.end() == 0, coord.err
            summary = coord.summary()

    assert summary["opened"] == USERS
    assert summary["closed"].keys() <= {"done", "unclean_close", "server_1000", "server_eof"}
    assert summary["sessions_failed"] == 0
    assert summary["timings"]["request"]["count"] in range(
        requests * USERS, (requests + 1) * USERS + 1
    )
