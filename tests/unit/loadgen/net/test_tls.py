"""The TLS context of a plan's transport, and failures of real TLS handshakes."""

import asyncio
import os
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic

import pytest
import trustme
from websockets.server import ServerProtocol

from loadgen.errors import PlanError
from loadgen.net.connection import Connection
from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.tls import SPEAKS_FIRST, VERSIONS, context_of
from loadgen.plan.plan import Transport
from loadgen.stats.recorder import Recorder
from tests.unit.wire_ends import TERMS, Diary, until


def test_a_server_has_to_prove_its_name_unless_the_plan_says_otherwise():
    strict = context_of(Transport())
    nameless = context_of(Transport(tls_server_name=False))
    renamed = context_of(Transport(tls_server_name="rt.test"))
    trusting = context_of(Transport(tls_verify=False))

    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (nameless.verify_mode, nameless.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert (renamed.verify_mode, renamed.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_NONE, False)


def test_versions_are_the_range_from_the_lowest_to_the_highest():
    context = context_of(Transport(tls_versions=("tlsv1.3", "tlsv1.2")))

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3


def test_an_unknown_version_is_one_line_that_names_all_others():
    with pytest.raises(PlanError) as caught:
        context_of(Transport(tls_versions=("sslv2", "tlsv1.2")))
    assert str(caught.value) == f"`tls_versions`: sslv2 is none of {', '.join(VERSIONS)}"


def test_ciphers_are_those_of_the_plan():
    context = context_of(Transport(tls_ciphers="ECDHE-RSA-AES128-GCM-SHA256"))

    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert names == {"ECDHE-RSA-AES128-GCM-SHA256"}


def test_ciphers_that_openssl_does_not_have_are_one_line():
    with pytest.raises(PlanError, match="`tls_ciphers` 'no-such': OpenSSL knows none of them"):
        context_of(Transport(tls_ciphers="no-such"))


AUTHORITY = trustme.CA()


def client(*, trusts=True, version=None):
    """Returns the context of a plan that trusts the authority of the test."""
    context = context_of(Transport(tls_versions=(version,) if version else ()))
    if trusts:
        AUTHORITY.configure_trust(context)
    return context


def server(name="target", *, expired=False, wants=False, version=None):
    """Returns a server's context with a certificate for a name."""
    end = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name, not_after=end).configure_cert(context)
    if wants:
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.minimum_version = version
    return context


def speak_ssh(sock):
    """Answers like a server that knows no TLS."""
    sock.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    sock.recv(65536)


def shake_hands(context):
    """Returns a server that completes the TLS handshake."""

    def serve(sock):
        with context.wrap_socket(sock, server_side=True) as secure:
            secure.recv(65536)

    return serve


def break_tls(sock):
    """Accepts a WebSocket, and answers its first ping with bytes that are no TLS."""
    with server().wrap_socket(sock, server_side=True) as secure:
        protocol = ServerProtocol()
        protocol.receive_data(secure.recv(65536))
        (request,) = protocol.events_received()
        protocol.send_response(protocol.accept(request))
        secure.sendall(b"".join(protocol.data_to_send()))
        secure.recv(65536)
        with socket.socket(fileno=os.dup(secure.fileno())) as plain:
            plain.sendall(b"rubbish" * 10)
            plain.recv(65536)


@contextmanager
def serving(serve):
    """Serves one connection; yields the address.

    It is no server of asyncio: OpenSSL sends its alerts, and asyncio drops them.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            sock, _ = listener.accept()
            with sock, suppress(OSError):
                serve(sock)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join()


async def ends(context, serve):
    """Dials a server; returns the diary of the connection and its sample."""
    recorder = Recorder(seed=1)
    loop = asyncio.get_running_loop()
    with serving(serve) as address:
        ports = SourcePorts(("127.0.9.1",), range(21_300, 21_310))
        dialer = Dialer(loop, address, ports, recorder, context, "target")
        connection = Connection(recorder, TERMS, diary := Diary())
        dialer.dial(connection, monotonic())
        try:
            await until(lambda: bool(diary.entries))
            connection.send_ping(monotonic())
            await until(diary.over.is_set)
        finally:
            dialer.close()
    return diary.entries, recorder.samples.get("tls", "")


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (client(trusts=False), server(), "unable to get local issuer certificate"),
        (client(), server("other"), "certificate is not valid for 'target'"),
        (client(), server(expired=True), "certificate has expired"),
        (client(), None, "the port speaks no TLS: begin the URL with ws://"),
        (client(), server(wants=True), "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        (client(version="tlsv1.2"), server(wants=True), "ALERT_HANDSHAKE_FAILURE"),
        (
            client(version="tlsv1.2"),
            server(version=ssl.TLSVersion.TLSv1_3),
            "ALERT_PROTOCOL_VERSION",
        ),
    ],
    ids=[
        "untrusted",
        "another name",
        "expired",
        "no TLS",
        "no certificate of the client",
        "no certificate of the client, TLS 1.2",
        "no common version",
    ],
)
async def test_a_failure_of_tls_is_told_in_the_words_of_openssl(ours, theirs, words):
    """In TLS 1.3 a client's certificate is judged after the client's handshake."""
    entries, sample = await ends(ours, speak_ssh if theirs is None else shake_hands(theirs))

    assert entries == ["tls"]
    assert sample.startswith(("user 0: [SSL: ", f"user 0: {SPEAKS_FIRST}"))
    assert words in sample
    assert "_ssl.c" not in sample


async def test_tls_that_breaks_on_an_open_connection_is_told_as_well():
    entries, sample = await ends(client(), break_tls)

    assert entries == ["opened", "tls"]
    assert sample.startswith("user 0: [SSL: ")
    assert "ws://" not in sample
