"""The requests that connections of one target send, prepared once for each kind."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from loadgen.net.dialer import Dialer
from loadgen.net.handshake import key_of
from loadgen.net.ports import SourcePorts
from loadgen.net.route import MAX_KEPT, Route
from loadgen.plan.compress import Compress
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines

KEY = key_of(7)


@contextmanager
def route(
    *headers: tuple[str, str],
    subprotocols: tuple[str, ...] = (),
    compress: Compress | None = None,
) -> Iterator[Route]:
    """A route to a target that no test dials."""
    ports = SourcePorts(("127.0.9.8",), range(24_400, 24_401))
    recorder = Recorder(seed=1)
    dialer = Dialer(asyncio.get_running_loop(), ("127.0.0.1", 9), ports, recorder)
    try:
        own = headers, subprotocols, compress
        yield Route("ws://target/", "target", "/own", dialer, recorder, Deadlines(5.0), *own)
    finally:
        dialer.close()


def request(*arguments, **changes) -> list[str]:
    """The lines of the request that connections with these terms send."""
    with route(*arguments) as found:
        return found.terms(**changes).handshake.request(KEY).decode().split("\r\n")


async def test_a_request_asks_for_the_targets_resource_unless_it_names_another():
    assert request()[:2] == ["GET /own HTTP/1.1", "Host: target"]
    assert request(resource="/else?a=1")[0] == "GET /else?a=1 HTTP/1.1"


async def test_a_header_replaces_the_targets_own_of_the_same_name():
    lines = request(("X-Kept", "1"), ("X-Own", "2"), headers=(("x-own", "3"),))

    assert "X-Kept: 1" in lines
    assert "x-own: 3" in lines
    assert "X-Own: 2" not in lines


async def test_subprotocols_replace_the_targets_own():
    with route(subprotocols=("a", "b")) as found:
        own = found.terms().handshake.request(KEY)
        others = found.terms(subprotocols=("c",)).handshake.request(KEY)

    assert b"\r\nSec-WebSocket-Protocol: a, b\r\n" in own
    assert b"\r\nSec-WebSocket-Protocol: c\r\n" in others
    assert others.count(b"Sec-WebSocket-Protocol") == 1


async def test_connections_of_one_kind_share_their_terms():
    with route() as found:
        assert found.terms(2.0) is found.terms(2.0)
        assert found.terms(2.0) is not found.terms(3.0)
        assert found.terms(2.0).think == 2.0
        assert found.terms(2.0).closing is found.terms(3.0).closing


async def test_kinds_beyond_the_most_that_are_kept_are_prepared_anew():
    with route() as found:
        first = found.terms(resource="/0")
        for number in range(1, MAX_KEPT):
            found.terms(resource=f"/{number}")
        assert found.terms(resource="/0") is first
        found.terms(resource="/one-more")
        assert found.terms(resource="/0") is not first


async def test_a_users_row_is_put_into_the_targets_resource_and_headers():
    row = {"id": "u 1", "token": 7}
    with route(("X-Kept", "1"), ("X-Own", "Bearer %%token%%")) as found:
        lines = found.filled(row).terms().handshake.request(KEY).decode().split("\r\n")
        assert {"X-Kept: 1", "X-Own: Bearer 7"} <= {*lines}
        assert found.terms().handshake.request(KEY).count(b"%%token%%") == 1
    with route() as found:
        assert found.filled(row) is found


async def test_a_users_row_changes_nothing_else_of_the_request():
    with route(("X-Own", "%%token%%"), subprotocols=("a",), compress=Compress()) as found:
        found.follow = lambda *arguments: arguments
        terms = found.filled({"token": 7}).terms()
        own = found.terms()

    request = terms.handshake.request(KEY)
    assert request == own.handshake.request(KEY).replace(b"%%token%%", b"7")
    assert terms.handshake.compress == Compress()
    assert terms.follower is not None


async def test_terms_know_what_follows_their_redirects():
    with route() as found:
        plain = found.terms(2.0)
        found.follow = lambda *arguments: arguments
        followed = found.terms(2.0, resource="/new", redirects=1)

    assert plain.follower is None
    assert followed.follower == (found, 2.0, "/new", (), None, (), 1)


async def test_a_route_with_another_recorder_has_the_same_dialer_and_terms():
    with route() as found:
        other = Recorder(seed=2)
        same = found.counted_by(other)

        assert (same.recorder, same.dialer, same.url) == (other, found.dialer, found.url)
        assert same.terms() is found.terms()
        assert found.recorder is not other
