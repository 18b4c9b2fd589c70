"""Reads <mqtt>: MQTT over WebSocket, as Tsung's src/lib/mqtt_frame.erl writes it.

Tsung speaks MQTT 3.1 (`MQIsdp`, version 3). A script sends the same packets, one a message. Where a
packet holds variables, steps before it write its strings and its length in hexadecimal digits.
"""

import math
from collections.abc import Sequence
from typing import Any

from coordinator.tsung.element import Element
from coordinator.tsung.options import Options
from coordinator.tsung.text import script_text
from loadgen.plan.byte_text import length_prefix
from loadgen.plan.script import Close, For, Send, SetVars, Step, Think
from loadgen.plan.template import Template

CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE = 0x10, 0x30, 0x82, 0xA2
CONNACK, PUBACK, SUBACK, UNSUBACK = "^20", "^40", "^90", "^b0"
"""The first digits of the replies."""
PINGREQ, DISCONNECT = "c000", "e000"
TYPES = ("connect", "publish", "subscribe", "unsubscribe", "waitForMessages", "disconnect")
OWN_ID = "%%_mqtt_client%%"
MAX_U16 = 0xFFFF
"""The largest number of two bytes: of a text's bytes, and of seconds."""


class Packet:
    """A packet in the making: its digits, and the steps that set variables in them."""

    def __init__(self, element: Element, options: Options, *, subst: bool) -> None:
        self.steps: list[Step] = []
        self._body = ""
        self._element = element
        self._read_at = options.read_at
        self._subst = subst

    def number(self, value: int, size: int) -> None:
        """Adds a whole number of `size` bytes."""
        self._body += value.to_bytes(size, "big").hex()

    def text(self, text: str, *, prefix: str = "u16", subst: bool | None = None) -> None:
        """Adds a text behind its length."""
        put_in = self._subst if subst is None else subst
        text = script_text(self._element, text, subst=put_in, read_at=self._read_at)
        if put_in and Template(text).names:
            name = f"mqtt_part_{len(self.steps) + 1}"
            self.steps.append(SetVars(names=(name,), source="hex", value=text, prefix=prefix))  # type: ignore[arg-type]
            self._body += f"%%_{name}%%"
            return
        data = text.encode()
        if prefix and len(data) > MAX_U16:
            raise self._element.error(
                f"a text of {len(data):,} bytes is too long for MQTT; write up to {MAX_U16:,}"
            )
        self._body += (length_prefix(len(data), prefix) + data).hex()

    def send(self, first: int, until: str, shared: dict[str, Any]) -> list[Step]:
        """Returns the steps that send it; with `until` its reply is awaited."""
        reply: dict[str, Any] = (
            {"ack": True, "until": until, "until_form": "hex", **shared} if until else {}
        )
        if not self.steps:
            data = bytes.fromhex(self._body)
            digits = f"{first:02x}{length_prefix(len(data), 'varint').hex()}{data.hex()}"
            return [Send(hex=digits, **reply)]
        whole = SetVars(names=("mqtt_rest",), source="bytes", value=self._body, prefix="varint")
        reply["subst"] = True
        return [*self.steps, whole, Send(hex=f"{first:02x}%%_mqtt_rest%%", **reply)]


class MqttRequests:
    """Reads the MQTT requests of one session."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._packets = 0
        """The number of the last packet that is acknowledged."""
        self._keepalive = 0
        """Seconds between two PINGREQ; 0: none."""

    def read(self, mqtt: Element, shared: dict[str, Any], *, subst: bool) -> Sequence[Step]:
        """Returns the steps of one request; raises TsungError."""
        kind = mqtt.choice("type", TYPES)
        if kind == "waitForMessages":
            return self.pause(mqtt.number("timeout", 1.0, above=0.0))
        if kind == "disconnect":
            self._keepalive = 0
            return Send(hex=DISCONNECT), Close()
        packet = Packet(mqtt, self._options, subst=subst)
        if kind == "connect":
            return self._connect(mqtt, packet, shared)
        if mqtt.flag("stamped"):
            raise mqtt.error(
                'stamped="true" is Tsung\'s own measure; take it out, and measure delivery as'
                " docs/delivery.md does"
            )
        if kind == "publish":
            return self._publish(mqtt, packet, shared)
        self._next(packet)
        packet.text(mqtt.need("topic"))
        if kind == "unsubscribe":
            return packet.send(UNSUBSCRIBE, UNSUBACK, shared)
        if mqtt.integer("qos", 0):
            mqtt.note_once(
                "topics are subscribed at QoS 0, where Tsung acknowledges what comes at QoS 1:"
                " scripts acknowledge nothing"
            )
        packet.number(0, 1)
        return packet.send(SUBSCRIBE, SUBACK, shared)

    def _next(self, packet: Packet) -> None:
        self._packets += 1
        packet.number(self._packets, 2)

    def _connect(self, mqtt: Element, packet: Packet, shared: dict[str, Any]) -> list[Step]:
        self._keepalive = mqtt.integer("keepalive", 10)
        if self._keepalive > MAX_U16:
            raise mqtt.error(f"keepalive is at most {MAX_U16:,} seconds; write fewer")
        will, user, password = (mqtt.get(name) for name in ("will_topic", "username", "password"))
        packet.text("MQIsdp", subst=False)
        packet.number(3, 1)
        packet.number(
            bool(user) << 7
            | bool(user and password) << 6
            | (bool(will) and mqtt.flag("will_retain")) << 5
            | (self._qos(mqtt, "will_qos", 2) if will else 0) << 3
            | bool(will) << 2
            | mqtt.flag("clean_start", default=True) << 1,
            1,
        )
        packet.number(self._keepalive, 2)
        own = mqtt.get("client_id")
        if own:
            packet.text(own)
        else:
            packet.text(f"tsung-{OWN_ID}", subst=True)
        for text in [will, mqtt.get("will_msg")] if will else []:
            packet.text(text)
        for text in (user, password) if user else ():
            if text:
                packet.text(text)
        if self._keepalive:
            mqtt.note_once(
                "a PINGREQ is sent in fixed think times of keepalive or longer, each keepalive; in"
                " Tsung also beside other requests"
            )
        draw = SetVars(names=("mqtt_client",), source="random_string", length=10)
        return [*([] if own else [draw]), *packet.send(CONNECT, CONNACK, shared)]

    def _publish(self, mqtt: Element, packet: Packet, shared: dict[str, Any]) -> list[Step]:
        qos = self._qos(mqtt, "qos", 1)
        packet.text(mqtt.need("topic"))
        if qos:
            self._next(packet)
        packet.text(mqtt.text.strip(" "), prefix="")
        first = PUBLISH | qos << 1 | mqtt.flag("retained")
        return packet.send(first, PUBACK if qos else "", shared)

    @staticmethod
    def _qos(mqtt: Element, name: str, most: int) -> int:
        qos = mqtt.integer(name, 0)
        if qos > most:
            raise mqtt.error(f"{name}={qos}: in Tsung such a request never ends; write 0 to {most}")
        return qos

    def pause(self, seconds: float) -> Sequence[Step]:
        """Returns the steps of a fixed think time, with a PINGREQ each keepalive."""
        turns = math.floor(seconds / self._keepalive) if self._keepalive else 0
        if not turns:
            return (Think(seconds=seconds),)
        ping = (Think(seconds=float(self._keepalive)), Send(hex=PINGREQ))
        rest = seconds - turns * self._keepalive
        loop = For(var="mqtt_ping", first=1, last=turns, steps=ping)
        return (loop, Think(seconds=rest)) if rest > 0 else (loop,)
