"""Reads <options>: what holds for all sessions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from coordinator.tsung.element import Element

MAX_FILE_SIZE = 16 * 1024 * 1024
"""The most bytes of a file of values, which travels inside the plan."""
TLS_VERSIONS = ("tlsv1.2", "tlsv1.3")
NOT_HERE = {
    "hibernate": "concerns the memory of Erlang processes",
    "max_ssh_startup_per_core": "concerns ssh, and agents are started without it",
    "job_notify_port": "belongs to another protocol",
    "udp_rcv_buffer": "belongs to another protocol",
    "udp_snd_buffer": "belongs to another protocol",
    "bosh_path": "belongs to another protocol",
    "global_ack_timeout": "has no effect: users who wait for others wait without a limit",
    "ip_bind_address_no_port": "is not needed: every agent counts its ports up by itself",
    "tcp_reuseaddr": "is not needed: no port serves twice before all have served",
    "tcp_reuseport": "is not needed: no port serves twice before all have served",
    "ssl_reuse_sessions": "is not needed: every TLS handshake is a whole one",
    "max_retries": (
        "has no effect: a connection that fails is counted by its reason, once, and its session"
        " ends"
    ),
    "retry_timeout": (
        "has no effect: a connection that fails is counted by its reason, once, and its session"
        " ends"
    ),
}
"""Options that do not change the load, and why."""


class ThinkDefault(msgspec.Struct, frozen=True):
    """The default of think times; with `override` it is every think time."""

    seconds: float = 5.0
    random: bool = False
    range: tuple[float, float] | None = None
    override: bool = False


class JabberOptions(msgspec.Struct):
    """The options of ts_jabber, with Tsung's defaults."""

    domain: str = "erlang-projects.org"
    username: str = "tsunguser"
    """The text before the id in the names of users."""
    passwd: str = "sesame"  # noqa: S105  # Tsung's default
    """The text before the id in their passwords."""
    userid_max: int = 10_000
    global_number: int = 100
    """The number of users that a request with ack=global waits for."""
    muc_service: str = "conference.localhost"


class ClientCertificate(NamedTuple):
    """The files of a client's certificate, as whole paths; empty: not given."""

    cert: str
    key: str


class Options:
    """The options, in the terms of the plan."""

    def __init__(self, directory: Path, read_at: int = 0) -> None:
        """The directory is the configuration's.

        `read_at` is the time at which it is read, in whole seconds since 1970.
        """
        self.directory = directory
        self.read_at = read_at
        self.think = ThinkDefault()
        self.transport: dict[str, Any] = {}
        """Fields of the plan's Transport."""
        self.seed = 0
        self.together = 100
        """The number of users that a think time of `wait_global` waits for."""
        self.read_rate = 0.0
        """Bytes that a connection reads per second; 0: without a limit."""
        self.files: dict[str, str] = {}
        """The texts of files by their names in the plan."""
        self.file_ids: dict[tuple[str, str], str] = {}
        """Those names by the kind of file and its id in the configuration."""
        self.path = "/"
        """The path of a connect that has none."""
        self.carrier_path = "/chat"
        """The path by which Tsung carries other protocols over WebSocket."""
        self.over_websocket = False
        """True when all servers carry other protocols over WebSocket."""
        self.jabber = JabberOptions()
        self.frame = "binary"
        self.subprotocols = ""
        self.origin = ""

    def read(self, element: Element, *, over_websocket: bool) -> None:
        """Reads every option; `over_websocket` is true with servers of type `websocket`."""
        for option in element.children:
            with option.refusing():
                if option.name != "option":
                    raise option.error(f"<{option.name}> is unknown in <options>; write <option>")
                option.only("name", "value", "type", "id", "min", "max", "random", "override")
                self._read_one(option, over_websocket=over_websocket)

    def _read_one(self, option: Element, *, over_websocket: bool) -> None:
        name = option.need("name")
        if option.get("type") == "ts_jabber" and name in JabberOptions.__struct_fields__:
            self._jabber(option, name)
        elif name == "user_agent":
            option.note(
                "user agents are not drawn: requests have loadgen's, or that of an <http_header>"
            )
        elif option.get("type"):
            option.note(
                f"option {name} of {option.get('type')} belongs to another protocol; it is left out"
            )
        elif name in NOT_HERE:
            option.note(f"option {name} {NOT_HERE[name]}; it is left out")
        elif name.startswith("websocket_") and not over_websocket:
            option.note(
                f'option {name} is for servers of type="websocket", in Tsung too; it is left out'
            )
        elif name in _READERS:
            _READERS[name](self, option)
        else:
            option.note(f"option {name!r} is unknown, to Tsung too; it is left out")

    def _jabber(self, option: Element, name: str) -> None:
        """Reads an option of XMPP."""
        number = isinstance(getattr(self.jabber, name), int)
        setattr(
            self.jabber,
            name,
            option.integer("value") if number else option.need("value"),
        )

    def certificate_of(self, element: Element) -> ClientCertificate:
        """Returns the files of a <certificate>; raises TsungError."""
        element.only("certfile", "keyfile", "keypass", "cacertfile")
        if element.get("keypass"):
            raise element.error(
                "agents know no passphrase; decrypt the key (openssl pkey -in KEY -out PLAIN), and"
                " take keypass out"
            )
        paths = [element.need("certfile"), element.get("keyfile")]
        if element.get("cacertfile"):
            element.note("cacertfile is left out: the servers' certificates are not verified")
        if any("%%" in path for path in paths):
            raise element.error(
                "a certificate of each user's own is a file of many, tls_cert in a plan's"
                " [transport] (docs/plans.md, “TLS towards the target”): write the plan by"
                " --write-plan without this, and add it"
            )
        whole = (str((self.directory / path).absolute()) if path else "" for path in paths)
        return ClientCertificate(*whole)

    def think_time(self, option: Element) -> None:
        """Reads the default of think times."""
        bounds = None
        if option.get("min") or option.get("max"):
            bounds = float(option.integer("min")), float(option.integer("max", least=1))
            if bounds[0] > bounds[1]:
                raise option.error("max is below min; swap them")
        self.think = ThinkDefault(
            seconds=option.number("value", 5.0, above=0.0),
            random=option.flag("random"),
            range=bounds,
            override=option.flag("override"),
        )

    def ports_range(self, option: Element) -> None:
        """Reads the source ports of agents without `--ports`."""
        if option.choice("value", ("on", "off"), "on") == "off":
            return
        low, high = option.integer("min", 1025), option.integer("max", 65534)
        if not 1024 <= low <= high <= 65535:
            raise option.error(
                f"ports from {low} to {high} can't be; write a range within 1025 to 65535"
            )
        self.transport["ports"] = f"{low}-{high}"

    def rate_limit(self, option: Element) -> None:
        """Reads the bytes per second that every connection reads."""
        self.read_rate = read_rate_of(option, default=512)

    def ciphers(self, option: Element) -> None:
        """Reads the TLS ciphers, by their names in OpenSSL."""
        text = option.get("value", "negotiate")
        if text != "negotiate":
            self.transport["tls_ciphers"] = text.replace(",", ":")

    def versions(self, option: Element) -> None:
        """Reads the version of TLS."""
        text = option.get("value", "negotiate").strip("'\"")
        if text == "negotiate":
            return
        if text not in TLS_VERSIONS:
            raise option.error(
                f"ssl_versions {text!r} is not spoken any more; write one of"
                f" {', '.join(TLS_VERSIONS)}"
            )
        self.transport["tls_versions"] = (text,)

    def ip_transparent(self, option: Element) -> None:
        """Refuses source addresses that are not the machine's own."""
        if option.flag("value"):
            raise option.error(
                "ip_transparent is not possible here; give the machine the addresses, and take"
                " it out"
            )

    def file(self, option: Element) -> None:
        """Reads a file of values, the text of which goes into the plan."""
        kind, id_, path = (
            option.need("name"),
            option.get("id", "default"),
            self.directory / option.need("value"),
        )
        name = id_ if kind == "file_server" else f"local {id_}"
        self.file_ids[kind, id_] = name  # where it can't be read, that alone is refused
        try:
            data = path.read_bytes()
            text = data.decode()
        except OSError as error:
            raise option.error(
                f"file {path} can't be read ({error.strerror}); put it there"
            ) from error
        except UnicodeDecodeError as error:
            raise option.error(
                f"file {path} is not UTF-8 ({error.reason}); save it as UTF-8"
            ) from error
        if len(data) > MAX_FILE_SIZE or not text.strip("\n"):
            what = (
                "empty" if len(data) <= MAX_FILE_SIZE else f"larger than {MAX_FILE_SIZE >> 20} MiB"
            )
            raise option.error(
                f"file {path} is {what}; give one with lines in it, and not too many"
            )
        self.files[name] = text


def read_rate_of(option: Element, default: int | None = None) -> float:
    """Returns the bytes per second of a rate limit in KB per second."""
    rate = option.integer("value", default, least=1)
    if option.integer("max", rate) != rate:
        option.note("the burst of rate_limit is left out: connections read evenly")
    return 1024.0 * rate


def _milliseconds(field: str) -> Callable[[Options, Element], None]:
    def read(options: Options, option: Element) -> None:
        options.transport[field] = option.integer("value", least=1) / 1000

    return read


def _bytes(field: str) -> Callable[[Options, Element], None]:
    def read(options: Options, option: Element) -> None:
        options.transport[field] = option.integer("value", 32768)

    return read


def _word(field: str) -> Callable[[Options, Element], None]:
    def read(options: Options, option: Element) -> None:
        setattr(options, field, option.get("value"))

    return read


def _carrier_path(options: Options, option: Element) -> None:
    options.path = options.carrier_path = option.get("value")


def _seed(options: Options, option: Element) -> None:
    options.seed = option.integer("value", least=None)


def _global_number(options: Options, option: Element) -> None:
    options.together = option.integer("value", least=1)


def _disable_sni(options: Options, option: Element) -> None:
    options.transport["tls_server_name"] = not option.flag("value")


_READERS: Mapping[str, Callable[[Options, Element], None]] = {
    "thinktime": Options.think_time,
    "global_number": _global_number,
    "seed": _seed,
    "rate_limit": Options.rate_limit,
    "ports_range": Options.ports_range,
    "connect_timeout": _milliseconds("connect_timeout"),
    "idle_timeout": _milliseconds("receive_timeout"),
    "tcp_rcv_buffer": _bytes("receive_buffer"),
    "tcp_snd_buffer": _bytes("send_buffer"),
    "ssl_ciphers": Options.ciphers,
    "ssl_versions": Options.versions,
    "ssl_disable_sni": _disable_sni,
    "websocket_path": _carrier_path,
    "websocket_frame": _word("frame"),
    "websocket_subprotocols": _word("subprotocols"),
    "websocket_origin": _word("origin"),
    "file_server": Options.file,
    "local_file_server": Options.file,
    "ip_transparent": Options.ip_transparent,
}
