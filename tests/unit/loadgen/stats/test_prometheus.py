"""The exported metrics, as the parser of prometheus-client reads them."""

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from loadgen.stats.fanin import Slice
from loadgen.stats.ledger import Ledger
from loadgen.stats.prometheus import BOUNDS_US, Snapshot, registry_of, render
from loadgen.stats.tally import Tally, worker_wide
from loadgen.stats.vitals import WorkerVitals
from loadgen.version import VERSION

NAMES = {
    "loadgen_tcp_seconds",
    "loadgen_tls_seconds",
    "loadgen_upgrade_seconds",
    "loadgen_tls_handshakes",
    "loadgen_tls_resumed",
    "loadgen_connections",
    "loadgen_connections_alive",
    "loadgen_connections_launched",
    "loadgen_connections_relaunched",
    "loadgen_connections_late",
    "loadgen_connections_opened",
    "loadgen_connections_accepted",
    "loadgen_connections_lost",
    "loadgen_connections_failed",
    "loadgen_connections_closed",
    "loadgen_connections_unexpected",
    "loadgen_pings",
    "loadgen_pongs",
    "loadgen_pongs_skipped",
    "loadgen_pongs_missing",
    "loadgen_pings_cut",
    "loadgen_connections_drained_unanswered",
    "loadgen_redirects",
    "loadgen_messages_sent",
    "loadgen_messages_unsent",
    "loadgen_messages_received",
    "loadgen_messages_compressed",
    "loadgen_replies",
    "loadgen_replies_unsent",
    "loadgen_sent_bytes",
    "loadgen_received_bytes",
    "loadgen_addresses_passed",
    "loadgen_ports_skipped",
    "loadgen_sessions_started",
    "loadgen_sessions_done",
    "loadgen_sessions_failed",
    "loadgen_deliveries_expected",
    "loadgen_deliveries_received",
    "loadgen_deliveries_lost",
    "loadgen_deliveries_duplicate",
    "loadgen_deliveries_reordered",
    "loadgen_deliveries_late",
    "loadgen_deliveries_negative",
    "loadgen_deliveries_untimed",
    "loadgen_deliveries_unregistered",
    "loadgen_messages_unstamped",
    "loadgen_delivery_seconds",
    "loadgen_session_count",
    "loadgen_session_timing_seconds",
    "loadgen_checks_passed",
    "loadgen_checks_failed",
    "loadgen_session_checks",
    "loadgen_http_requests",
    "loadgen_http_errors",
    "loadgen_http_replies",
    "loadgen_http_failed",
    "loadgen_http_seconds",
    "loadgen_handshake_seconds",
    "loadgen_ping_rtt_seconds",
    "loadgen_launch_lag_seconds",
    "loadgen_event_loop_lag_seconds",
    "loadgen_worker_cpu_seconds",
    "loadgen_worker_resident_memory_bytes",
    "loadgen_build_info",
}


def snapshot_of(agent=None, planned=0):
    total = Tally(
        launched=10,
        opened=7,
        pings=5,
        pongs=4,
        bytes_sent=100,
        failed={"refused": 2},
        closed={"done": 1},
    )
    for value in (400, 3000, 3000, 70_000_000):
        total.handshake.record(value)
    total.count('say "hi"', 3)
    total.time("tr_login", 2000)
    return Snapshot(
        agent,
        Ledger.of(planned, total),
        total,
        (WorkerVitals(0, 1.5, 4096), WorkerVitals(1, 2.5, 8192)),
    )


def scrape(*snapshots):
    body = b"".join(render(registry_of(lambda: snapshots)))
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    return families, samples


def test_the_names_are_those_of_the_contract():
    families, samples = scrape(snapshot_of())

    assert set(families) == NAMES
    assert samples["loadgen_build_info", ("version", VERSION)] == 1
    assert samples["loadgen_connections_launched_total",] == 10
    assert samples["loadgen_connections_failed_total", ("reason", "refused")] == 2
    assert samples["loadgen_worker_cpu_seconds_total", ("worker", "1")] == 2.5
    assert samples["loadgen_worker_resident_memory_bytes", ("worker", "0")] == 4096


def test_ends_that_were_not_asked_for_are_a_counter_of_their_own():
    total = Tally(opened=9, closed={"done": 1, "bye": 2, "server_1001": 3})
    _, samples = scrape(Snapshot(None, Ledger.of(9, total), total))

    unexpected = {name: n for name, n in samples.items() if "unexpected" in name[0]}
    assert unexpected == {("loadgen_connections_unexpected_total", ("reason", "server_1001")): 3}


def test_an_agent_does_not_export_not_started():
    _, samples = scrape(snapshot_of())

    assert samples["loadgen_connections", ("state", "open")] == 6
    assert samples["loadgen_connections", ("state", "connecting")] == 1
    assert ("loadgen_connections", ("state", "not_started")) not in samples


def test_the_laws_of_the_ledger_can_be_checked_by_a_monitor():
    total = Tally(launched=10, opened=7, failed={"refused": 2}, closed={"done": 1}, lost=4)
    _, samples = scrape(Snapshot("a", Ledger.of(100, total), total))

    def states(*names):
        return sum(
            samples["loadgen_connections", ("agent", "a"), ("state", name)] for name in names
        )

    assert states("not_started", "connecting", "open", "lost") + 2 + 1 == 100
    assert (
        states("open", "lost") + 1
        == samples["loadgen_connections_opened_total", ("agent", "a")]
        == 7
    )


def test_the_living_are_labelled_with_their_window_and_absent_where_unknown():
    total = Tally(launched=10, opened=7)
    ledger = Ledger.of(None, total)
    _, samples = scrape(
        Snapshot("a", ledger, total, alive=6, alive_within=31), Snapshot("b", ledger, total)
    )

    found = {key: value for key, value in samples.items() if key[0] == "loadgen_connections_alive"}
    assert found == {("loadgen_connections_alive", ("agent", "a"), ("within", "31")): 6}


def test_the_coordinator_labels_each_sample_with_its_agent():
    _, samples = scrape(snapshot_of("a", planned=100), snapshot_of("b", planned=50))

    assert samples["loadgen_connections", ("agent", "a"), ("state", "not_started")] == 90
    assert samples["loadgen_connections", ("agent", "b"), ("state", "not_started")] == 40
    assert samples["loadgen_pings_total", ("agent", "b")] == 5


def test_histograms_are_cumulative_in_seconds():
    _, samples = scrape(snapshot_of())
    buckets = {
        dict(key[1:])["le"]: value
        for key, value in samples.items()
        if key[0] == "loadgen_handshake_seconds_bucket"
    }

    assert len(buckets) == len(BOUNDS_US) + 1
    assert buckets["0.0005"] == 1
    assert buckets["0.0025"] == 1
    assert buckets["0.005"] == 3
    assert buckets["60.0"] == 3
    assert buckets["+Inf"] == samples["loadgen_handshake_seconds_count",] == 4
    assert samples["loadgen_handshake_seconds_sum",] == pytest.approx(70.0064, rel=0.01)


def test_counters_and_timings_of_sessions_have_their_names_as_a_label():
    _, samples = scrape(snapshot_of("a"), snapshot_of("b"))

    assert samples["loadgen_session_count_total", ("agent", "b"), ("name", 'say "hi"')] == 3
    assert (
        samples["loadgen_session_timing_seconds_count", ("agent", "a"), ("name", "tr_login")] == 1
    )
    bucket = (
        "loadgen_session_timing_seconds_bucket",
        ("agent", "a"),
        ("le", "0.0025"),
        ("name", "tr_login"),
    )
    assert samples[bucket] == 1


def test_checks_have_their_result_as_a_label_and_http_requests_their_end():
    total = Tally(http_requests=3, http_replies={"503": 2}, http_failed={"timeout": 1})
    total.check("logged in", passed=True)
    total.check("logged in", passed=False)
    _, samples = scrape(Snapshot("a", Ledger.of(None, total), total))

    agent, name = ("agent", "a"), ("name", "logged in")
    assert samples["loadgen_session_checks_total", agent, name, ("result", "passed")] == 1
    assert samples["loadgen_session_checks_total", agent, name, ("result", "failed")] == 1
    assert samples["loadgen_checks_failed_total", agent] == 1
    assert samples["loadgen_http_requests_total", agent] == 3
    assert samples["loadgen_http_replies_total", agent, ("status", "503")] == 2
    assert samples["loadgen_http_failed_total", agent, ("reason", "timeout")] == 1


def test_relaunched_connections_do_not_make_an_agent_export_not_started():
    total = Tally(launched=10, relaunched=4, opened=10)

    _, samples = scrape(Snapshot(None, Ledger.of(None, total), total))

    assert samples["loadgen_connections_relaunched_total",] == 4
    assert ("loadgen_connections", ("state", "not_started")) not in samples


def test_a_coordinator_without_agents_is_scraped_all_the_same():
    families, _ = scrape()

    assert set(families) == NAMES


def test_counts_by_session_have_a_label_and_what_is_not_split_an_empty_one():
    total = Tally(launched=10, opened=7, delivery_lost=3)
    total.loop_lag.record(50)
    rest = worker_wide(total)
    ledger = replace(Ledger.of(None, rest), planned=12, not_started=2)
    vitals = (WorkerVitals(0, 1.5, 4096),)
    sessions = {
        "chatter": Slice(Tally(launched=6, opened=4, failed={"refused": 2}), alive=4),
        "watcher": Slice(Tally(launched=4, opened=3)),
    }
    snapshot = Snapshot("a", ledger, rest, vitals, alive=4, alive_within=31)

    _, samples = scrape(*snapshot.with_sessions(sessions))

    def of(name, **labels):
        return samples[name, *sorted({"agent": "a", **labels}.items())]

    launched = "loadgen_connections_launched_total"
    assert of(launched, session="chatter") == 6
    assert of(launched, session="watcher") == 4
    assert of(launched, session="") == 0
    assert of("loadgen_connections", session="", state="not_started") == 2
    assert of("loadgen_connections", session="watcher", state="open") == 3
    assert of("loadgen_connections", session="watcher", state="connecting") == 1
    assert of("loadgen_connections_alive", session="chatter", within="31") == 4
    assert of("loadgen_connections_alive", session="watcher", within="31") == 0
    assert of("loadgen_connections_failed_total", session="chatter", reason="refused") == 2
    assert of("loadgen_deliveries_lost_total", session="") == 3
    assert of("loadgen_event_loop_lag_seconds_count", session="") == 1
    assert of("loadgen_worker_cpu_seconds_total", session="", worker="0") == 1.5


def test_life_that_is_not_verified_has_no_sample_of_a_session_either():
    snapshot = Snapshot("a", Ledger.of(None, Tally()), Tally())

    _, samples = scrape(*snapshot.with_sessions({"chatter": Slice(), "watcher": Slice()}))

    assert not any(name == "loadgen_connections_alive" for name, *_ in samples)


def test_without_sessions_there_is_no_label():
    snapshot = snapshot_of("a")

    assert snapshot.with_sessions({}) == [snapshot]
