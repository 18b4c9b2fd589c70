"""The offer of permessage-deflate, against the websockets library's factory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from loadgen.errors import PlanError
from loadgen.plan.compress import Compress, parse_compress

offers = st.builds(
    Compress,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.none() | st.integers(8, 15),
    client_max_window_bits=st.none() | st.integers(9, 15),
    level=st.integers(0, 9),
)


def test_without_parameters_the_offer_is_a_browsers():
    assert Compress().offer == "permessage-deflate; client_max_window_bits"


def test_each_parameter_is_offered_by_its_name():
    text = (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
        " server_max_window_bits=10; client_max_window_bits=12"
    )
    offer = Compress(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=10,
        client_max_window_bits=12,
    )

    assert offer.offer == text
    assert parse_compress(text) == offer
    assert parse_compress("permessage-deflate; client_max_window_bits; level=1") == Compress(
        level=1
    )


@given(offers)
def test_the_library_makes_the_same_offer(offer):
    library = ClientPerMessageDeflateFactory(
        offer.server_no_context_takeover,
        offer.client_no_context_takeover,
        offer.server_max_window_bits,
        offer.client_max_window_bits or True,
    )

    assert offer.offer == build_extension([(library.name, library.get_request_params())])
    assert parse_extension(offer.offer) == [(library.name, library.get_request_params())]


@given(offers)
def test_an_offer_is_parsed_from_its_parameters(offer):
    assert parse_compress(f"{offer.offer}; level={offer.level}") == offer


@pytest.mark.parametrize("text", ["on", "1", "TRUE", " yes "])
def test_a_word_offers_it_as_browsers_do(text):
    assert parse_compress(text) is True


@pytest.mark.parametrize("text", ["off", "0", "False", "no", ""])
def test_a_word_offers_nothing(text):
    assert parse_compress(text) is False


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("client_max_window_bits=8", "Expected `int` >= 9 in `client_max_window_bits`"),
        ("server_max_window_bits=16", "Expected `int` <= 15 in `server_max_window_bits`"),
        ("server_max_window_bits", "in `server_max_window_bits`; the parameters are"),
        ("level=fast", "in `level`"),
        ("x-webkit-deflate-frame", "unknown field `x-webkit-deflate-frame`; the parameters are"),
        ("level=1; level=2", "level is there twice; write it once"),
        ("level=1; permessage-deflate", "unknown field `permessage-deflate`"),
    ],
)
def test_another_text_is_refused(text, why):
    with pytest.raises(PlanError) as refused:
        parse_compress(text)

    assert why in str(refused.value)
