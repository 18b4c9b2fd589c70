"""The TLS context of a plan's transport, and failures of real TLS handshakes."""

import asyncio
import os
import socket
import ssl
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic

import pytest
import trustme
from websockets.asyncio.server import serve
from websockets.server import ServerProtocol

from loadgen.errors import PlanError
from loadgen.net.connection import Connection
from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.tls import MAX_CONTEXTS, VERSIONS, Contexts, context_of
from loadgen.plan.credentials import Credentials
from loadgen.plan.transport import Transport
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


def test_versions_without_one_between_are_refused():
    """TLS has a lowest and a highest version, and no holes."""
    with pytest.raises(PlanError) as caught:
        context_of(Transport(tls_versions=("tlsv1.3", "tlsv1.1")))
    assert str(caught.value) == (
        "`tls_versions` leaves tlsv1.2 out between others, which TLS can't; name every version from"
        " the lowest to the highest"
    )


def test_a_version_that_the_security_level_refuses_needs_a_lower_level():
    old = ("tlsv1", "tlsv1.1")
    with pytest.raises(PlanError) as caught:
        context_of(Transport(tls_versions=old, tls_ciphers="DEFAULT@SECLEVEL=1"))
    context = context_of(Transport(tls_versions=old, tls_ciphers="DEFAULT@SECLEVEL=0"))

    assert str(caught.value) == (
        "`tls_versions`: OpenSSL's security level 1 refuses tlsv1; leave it out, or lower the"
        ' level: tls_ciphers = "DEFAULT@SECLEVEL=0"'
    )
    assert context.minimum_version is ssl.TLSVersion.TLSv1
    assert context.maximum_version is ssl.TLSVersion.TLSv1_1


def test_keys_are_logged_where_the_environment_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    assert context_of(Transport()).keylog_filename == str(tmp_path / "keys")


def test_ciphers_are_those_of_the_plan():
    context = context_of(Transport(tls_ciphers="ECDHE-RSA-AES128-GCM-SHA256"))

    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert names == {"ECDHE-RSA-AES128-GCM-SHA256"}


def test_ciphers_that_openssl_does_not_have_are_one_line():
    with pytest.raises(PlanError, match="`tls_ciphers` 'no-such': OpenSSL knows none of them"):
        context_of(Transport(tls_ciphers="no-such"))


AUTHORITY = trustme.CA()
CA = AUTHORITY.cert_pem.bytes().decode()


def pair(name):
    """Returns a certificate of the test's authority with its key."""
    return AUTHORITY.issue_cert(common_name=name).private_key_and_cert_chain_pem.bytes().decode()


def client(*, trusts=True, version=None, shows=(), **transport):
    """Returns the contexts of a plan that trusts the authority of the test."""
    versions = (version,) if version else ()
    ca = CA if trusts else ""
    return Contexts(Transport(tls_versions=versions, **transport), Credentials(ca, shows))


def server(name="target", *, expired=False, wants=False, version=None, protocol=None):
    """Returns a server's context with a certificate for a name."""
    end = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name, not_after=end).configure_cert(context)
    if wants:
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.minimum_version = version
    if protocol is not None:
        context.set_alpn_protocols([protocol])
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


async def ends(contexts, serve, number=0):
    """Dials a server; returns the diary of the connection and its sample."""
    recorder = Recorder(seed=1)
    loop = asyncio.get_running_loop()
    with serving(serve) as address:
        ports = SourcePorts(("127.0.9.1",), range(21_300, 21_310))
        dialer = Dialer(loop, address, ports, recorder, contexts, "target")
        connection = Connection(recorder, TERMS, diary := Diary())
        diary.number = number
        dialer.dial(connection, monotonic())
        try:
            await until(lambda: bool(diary.entries))
            connection.send_ping(monotonic())
            await until(diary.over.is_set)
        finally:
            dialer.close()
    return diary.entries, recorder.samples.get(diary.entries[-1], "")


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
    assert sample.startswith("user 0: [SSL: ")
    assert words in sample
    assert "_ssl.c" not in sample


async def test_a_server_that_ends_tcp_instead_may_speak_no_tls():
    entries, sample = await ends(client(), lambda sock: sock.recv(65536))

    assert entries == ["reset"]
    assert sample == (
        "user 0: the server ended TCP in the middle of the TLS handshake; perhaps the port speaks"
        " no TLS: begin the URL with ws://, or correct the port"
    )


async def test_tls_that_breaks_on_an_open_connection_is_told_as_well():
    entries, sample = await ends(client(), break_tls)

    assert entries == ["opened", "tls"]
    assert sample.startswith("user 0: [SSL: ")
    assert "ws://" not in sample


async def test_a_certificate_that_openssl_does_not_take_is_a_failure_of_its_user():
    """The coordinator has checked it, with another OpenSSL perhaps."""
    contexts = client(shows=(pair("one"), "rubbish"))
    entries, sample = await ends(contexts, lambda sock: sock.recv(1), number=3)

    assert entries == ["tls"]
    assert sample.startswith("user 3: [SSL] PEM lib")


@pytest.mark.parametrize("credentials", [Credentials(pairs=("rubbish",)), Credentials("rubbish")])
def test_credentials_that_the_openssl_of_a_worker_does_not_take_are_one_line(credentials):
    with pytest.raises(PlanError, match="OpenSSL of this machine does not take `tls_ca` or"):
        Contexts(Transport(), credentials)


def test_users_have_the_certificates_in_turn_and_a_context_each():
    contexts = client(shows=(pair("one"), pair("two")))

    first, second, third = (contexts.of_user(number) for number in range(3))

    assert first is third
    assert first is not second
    assert client().of_user(0) is not None


def test_only_so_many_contexts_are_kept():
    one = pair("one")
    contexts = client(shows=tuple(one + "\n" * place for place in range(MAX_CONTEXTS + 1)))
    first = contexts.of_user(0)

    for number in range(MAX_CONTEXTS):
        contexts.of_user(number)
    assert contexts.of_user(0) is first
    for number in range(1, MAX_CONTEXTS + 1):
        contexts.of_user(number)
    assert contexts.of_user(0) is not first


@asynccontextmanager
async def listening(context):
    """Serves WebSockets with TLS.

    Yields the address, and what the server saw of each client.
    """
    seen = []

    async def meet(connection):
        tls = connection.transport.get_extra_info("ssl_object")
        shown = tls.getpeercert() or {"subject": []}
        names = dict(field for fields in shown["subject"] for field in fields)
        seen.append((names.get("commonName"), tls.selected_alpn_protocol(), tls.session_reused))
        await connection.wait_closed()

    async with serve(meet, "127.0.0.1", 0, ssl=context) as serving:
        yield serving.sockets[0].getsockname(), seen


async def open_in_turn(contexts, address, numbers):
    """Opens a connection of each user, one after the other; returns the tally."""
    recorder = Recorder(seed=1)
    ports = SourcePorts(("127.0.9.1",), range(21_310, 21_330))
    loop = asyncio.get_running_loop()
    dialer = Dialer(loop, address, ports, recorder, contexts, "target")
    try:
        for number in numbers:
            connection = Connection(recorder, TERMS, diary := Diary())
            diary.number = number
            dialer.dial(connection, monotonic())
            await until(lambda diary=diary: bool(diary.entries))
            assert diary.entries == ["opened"]
            connection.abort()
            await until(diary.over.is_set)
    finally:
        dialer.close()
    return recorder.tally


async def test_each_user_shows_the_certificate_of_its_number():
    contexts = client(shows=(pair("one"), pair("two")))
    async with listening(server(wants=True)) as (address, seen):
        await open_in_turn(contexts, address, [0, 1, 2, 5])

    assert [name for name, _, _ in seen] == ["one", "two", "one", "two"]


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [({}, "http/1.1"), ({"tls_alpn": ()}, None), ({"tls_alpn": ("h2",)}, None)],
)
async def test_http_1_1_is_offered_by_alpn_unless_the_plan_says_otherwise(offered, agreed):
    async with listening(server(protocol="http/1.1")) as (address, seen):
        await open_in_turn(client(**offered), address, [0])

    assert [protocol for _, protocol, _ in seen] == [agreed]


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
async def test_a_session_is_resumed_where_the_plan_asks_for_it(version):
    resuming = client(version=version, tls_resume=True)
    async with listening(server()) as (address, seen):
        asked = await open_in_turn(resuming, address, range(3))
        plain = await open_in_turn(client(version=version), address, range(3))

    assert [reused for _, _, reused in seen] == [False, True, True, False, False, False]
    assert (asked.tls_handshakes, asked.tls_resumed) == (3, 2)
    assert (plain.tls_handshakes, plain.tls_resumed) == (3, 0)
    assert (asked.tcp.total, asked.tls.total, asked.connect.total) == (3, 3, 3)


async def test_no_user_resumes_the_session_of_another_certificate():
    contexts = client(shows=(pair("one"), pair("two")), tls_resume=True)
    async with listening(server(wants=True)) as (address, seen):
        tally = await open_in_turn(contexts, address, [0, 1, 2, 3])

    assert [(name, reused) for name, _, reused in seen] == [
        ("one", False),
        ("two", False),
        ("one", True),
        ("two", True),
    ]
    assert tally.tls_resumed == 2
