"""Places that strangers can't take all of."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from coordinator.http.places import Places
from loadgen.http.server import KNOWN


def request_of(*, known):
    request = make_mocked_request("GET", "/events")
    request[KNOWN] = known
    return request


def test_strangers_leave_places_for_known_senders():
    places = Places(2, 1, "viewers follow this run")
    taken = [places.take(request_of(known=False)) for _ in range(2)]
    for place in taken:
        place.__enter__()

    with pytest.raises(web.HTTPServiceUnavailable) as refusal, places.take(request_of(known=False)):
        pass
    assert refusal.value.text == "2 viewers follow this run already; come again in 5 s"
    assert refusal.value.headers["Retry-After"] == "5"
    with places.take(request_of(known=True)):
        assert places.taken == 3
        with pytest.raises(web.HTTPServiceUnavailable), places.take(request_of(known=True)):
            pass
    for place in taken:
        place.__exit__(None, None, None)
    assert places.taken == 0


def test_a_place_is_free_again_when_its_client_fails():
    places = Places(1, 0, "clients")
    with pytest.raises(ConnectionError), places.take(request_of(known=False)):
        raise ConnectionError

    assert places.taken == 0
