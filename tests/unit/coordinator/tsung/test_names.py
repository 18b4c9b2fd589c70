"""Tsung's names of our reasons, counters and durations."""

import pytest

from coordinator.tsung.names import COUNTERS, atom, counters_of, durations_of, error_name
from loadgen.stats.tally import COUNTS, Tally


@pytest.mark.parametrize(
    ("kind", "reason", "name"),
    [
        ("failed", "refused", "error_connect_econnrefused"),
        ("failed", "reset", "error_connect_econnreset"),
        ("failed", "http_503", "websocket_fail"),
        ("failed", "tls", "error_connect_tls"),
        ("failed", "eperm", "error_connect_eperm"),
        ("failed", "drained", "error_connect_drained"),
        ("failed", "error_KeyError", "error_KeyError"),
        ("closed", "drained", ""),
        ("closed", "storm", ""),
        ("closed", "reset", "error_inet_econnreset"),
        ("closed", "server_1001", "error_closed"),
        ("closed", "rejected_1008", "error_rejected_1008"),
        ("closed", "error_KeyError", "error_KeyError"),
        ("closed", "too tired", "error_too_tired"),
        ("closed", "lost", "error_lost"),
    ],
)
def test_an_end_has_the_name_of_its_reason(kind, reason, name):
    assert error_name(kind, reason) == name


def test_an_atom_is_one_word_of_ascii():
    assert atom("a b-é.c") == "a_b___c"


def test_every_name_of_tsungs_is_of_a_counter_of_ours():
    assert COUNTERS.keys() <= set(COUNTS)


def test_ends_that_one_name_covers_are_added():
    total = Tally(
        failed={"http_503": 2, "bad_handshake": 1}, closed={"done": 5, "lost_in_space": 1}
    )

    assert counters_of(total, scripted=False) == {"websocket_fail": 3, "error_lost_in_space": 1}


def test_the_messages_of_a_scripted_run_are_counted_by_its_scripts():
    total = Tally(messages_sent=3, messages_received=2)

    assert counters_of(total, scripted=False) == {"request_noack": 3, "async_unknown_data_rcv": 2}
    assert counters_of(total, scripted=True) == {}


def test_a_counter_of_a_session_does_not_replace_one_of_ours():
    total = Tally(late=1, counters={"late": 7})

    assert counters_of(total, scripted=False) == {"late": 1, "own_late": 7}


def test_timings_of_sessions_become_transactions():
    tally = Tally()
    tally.time("login", 1000)
    tally.time("tr_login", 1000)
    tally.time("page", 1000)

    plain = {name for name, one in durations_of(tally, scripted=False).items() if one.counts}
    scripted = {name for name, one in durations_of(tally, scripted=True).items() if one.counts}

    assert plain == {"tr_login", "tr_page"}
    assert scripted == {"tr_login", "page"}
    assert durations_of(tally, scripted=True)["tr_login"].total == 2
