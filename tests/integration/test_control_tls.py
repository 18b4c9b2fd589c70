"""TLS on the control port: agents join only a coordinator that they trust.

No other machine gets a byte of the token.
"""

import hashlib
import socket
import ssl
import threading
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.processes import (
    Command,
    Coordinator,
    agent,
    command,
    coordinator,
    environment,
    eventually,
    free_port,
    run,
)

LOAD = ("--max", "100", "--rate", "1000", "--think", "1", "--hold", "1", "--agents", "1")


class Files(NamedTuple):
    """Certificates as files, none readable by others."""

    ca: Path
    cert: Path
    key: Path
    other: Path
    """The key of another certificate."""
    locked: Path
    """The same key with a passphrase."""
    fingerprint: str
    token: Path

    @property
    def serve(self) -> tuple[str, ...]:
        """The options of a coordinator with TLS and a token."""
        return (
            "--tls-cert",
            str(self.cert),
            "--tls-key",
            str(self.key),
            "--token-file",
            str(self.token),
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    """The files, made for each run of the tests."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    other = authority.issue_cert("localhost")
    pem = issued.private_key_pem.bytes()
    locked = serialization.load_pem_private_key(pem, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    contents = {
        "ca": authority.cert_pem.bytes(),
        "cert": b"".join(one.bytes() for one in issued.cert_chain_pems),
        "key": pem,
        "other": other.private_key_pem.bytes(),
        "locked": locked,
        "token": b"s3cret\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    paths = {name: folder / name for name in contents}
    return Files(**paths, fingerprint=hashlib.sha256(der).hexdigest())


def check_health(coord: Coordinator, files: Files) -> None:
    """A client that trusts the authority gets an answer."""
    context = ssl.create_default_context(cafile=str(files.ca))
    with urllib.request.urlopen(f"{coord.url}/healthz", context=context) as reply:
        assert reply.status == 200


def test_agents_join_a_coordinator_that_they_trust(tmp_path, server, files):
    """By its authority, by its fingerprint, and by that with colons."""
    pinned = ":".join(files.fingerprint.upper()[at : at + 2] for at in range(0, 64, 2))
    ways = (
        {"LOADGEN_AGENT_TLS_CA": str(files.ca)},
        {"LOADGEN_AGENT_TLS_FINGERPRINT": files.fingerprint},
        {"LOADGEN_AGENT_TLS_FINGERPRINT": pinned},
    )
    with coordinator(tmp_path, *LOAD, "--agents", "3", *files.serve, server.ws) as coord:
        assert coord.url.startswith("https://127.0.0.1:")
        coord.says(f"they trust it by --tls-fingerprint {files.fingerprint}")
        check_health(coord, files)
        options = ("--token-file", str(files.token), "--once")
        with ExitStack() as stack:
            joining = [
                stack.enter_context(agent(coord.url, *options, env=environment() | trust))
                for trust in ways
            ]
            assert coord.end() == 0, coord.err
            assert [one.end() for one in joining] == [0, 0, 0], [one.err for one in joining]
        assert coord.summary()["opened"] == 100


def test_a_run_over_tls_is_resumed_over_tls(tmp_path, server, files):
    options = ("--token-file", str(files.token), "--once", "--tls-ca", str(files.ca))
    with (
        coordinator(tmp_path, *LOAD, "--hold", "3", *files.serve, server.ws) as coord,
        agent(coord.url, *options) as held,
    ):
        eventually(lambda: server.stats()["open"] == 100, "all are open")
        coord.process.kill()
        coord.end()
        resume = command("loadgen-coord", "--resume", str(coord.folder), *files.serve)
        with closing(Command(resume)) as again:
            assert (again.end(), held.end()) == (0, 0), again.err
            assert again.out.count("http://") == 0
    assert coord.summary()["closed"] == {"drained": 100}


def test_local_agents_of_a_coordinator_with_tls_join_it(tmp_path, files):
    url = f"ws://127.0.0.1:{free_port()}/v1/realtime?project=console"
    with coordinator(
        tmp_path, *LOAD[:-2], "--local", "2", "--with-target", *files.serve, url
    ) as coord:
        assert coord.end() == 0, coord.err
        assert (coord.summary()["opened"], coord.err) == (100, "")


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        (("--tls-fingerprint", "ab" * 32), ["another certificate", "{fingerprint}"]),
        ((), ["is not trusted", "--tls-ca", "--tls-fingerprint"]),
    ],
)
def test_an_agent_sends_nothing_to_a_coordinator_that_it_does_not_trust(
    tmp_path, files, trust, words
):
    """Such a coordinator gets only TLS's own bytes.

    It gets neither the token nor the machine's facts.
    """
    recorded: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=listen, args=(listener, files, recorded))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        ended = run(
            "loadgen-agent",
            "--coordinator",
            url,
            "--metrics",
            "127.0.0.1:0",
            "--token-file",
            str(files.token),
            *trust,
        )
        thread.join()
    (line,) = [line for line in ended.stderr.splitlines() if "metrics at" not in line]
    assert ended.returncode == 2
    assert [word for word in words if word.format(fingerprint=files.fingerprint) not in line] == []
    assert b"".join(recorded) == b""


def listen(listener: socket.socket, files: Files, recorded: list[bytes]) -> None:
    """Accepts one connection and records what it sends after the TLS handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    connection, _ = listener.accept()
    try:
        with closing(context.wrap_socket(connection, server_side=True)) as stream:
            recorded.append(stream.recv(65536))
    except OSError:  # the client's alert, or its reset
        return


def test_http_for_https_and_https_for_http_are_reported(tmp_path, files):
    with coordinator(tmp_path / "tls", *files.serve) as coord:
        with agent(coord.url.replace("https", "http"), "--token-file", str(files.token)) as plain:
            plain.says(
                "closes the connection without an answer; if it is an https:// one, write that"
            )
    with coordinator(tmp_path / "plain") as coord:
        with agent(coord.url.replace("http", "https")) as secure:
            assert secure.end() == 2
            assert "speaks no TLS that this agent knows; is it http://?" in secure.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--tls-cert {cert}", ["--tls-cert needs --tls-key"]),
        ("--tls-key {key}", ["--tls-key needs --tls-cert"]),
        (
            "--tls-cert {cert} --tls-key {other}",
            ["--tls-key {other}", "can't be served", "MISMATCH"],
        ),
        ("--tls-cert {cert} --tls-key {locked}", ["--tls-key {locked}", "without a passphrase"]),
        ("--tls-cert {cert}.none --tls-key {key}", ["{cert}.none", "No such file"]),
        ("--tls-cert {key} --tls-key {key}", ["{key} holds no certificate"]),
        ("--tls-cert {cert} --tls-key {cert}.none", ["--tls-key {cert}.none", "No such file"]),
    ],
)
def test_a_certificate_that_can_not_be_served_is_one_line(tmp_path, files, options, words):
    names = files._asdict()
    ended = run(
        "loadgen-coord", *options.format(**names).split(), "--listen", "127.0.0.1:0", cwd=tmp_path
    )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert [word for word in words if word.format(**names) not in line] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--tls-fingerprint abc", ["--tls-fingerprint 'abc'", "64 hexadecimal digits"]),
        ("--tls-ca {ca} --tls-fingerprint {fingerprint}", ["give one of them"]),
        ("--tls-ca {ca}.none", ["{ca}.none", "No such file"]),
        ("--tls-ca {token}", ["{token}", "no certificate"]),
        (
            "--tls-ca {ca} --coordinator http://127.0.0.1:1",
            ["--tls-ca has no effect with", "https://"],
        ),
    ],
)
def test_unusable_options_of_trust_are_one_line(files, options, words):
    names = files._asdict()
    ended = run(
        "loadgen-agent", "--coordinator", "https://127.0.0.1:1", *options.format(**names).split()
    )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert [word for word in words if word.format(**names) not in line] == []


def test_no_version_below_tls_1_2_is_accepted(tmp_path, files):
    with coordinator(tmp_path, *files.serve) as coord:
        context = ssl.create_default_context(cafile=str(files.ca))
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        host, port = coord.url.removeprefix("https://").split(":")
        with socket.create_connection((host, int(port))) as connection, pytest.raises(OSError):
            context.wrap_socket(connection, server_hostname=host)
