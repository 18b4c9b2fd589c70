"""Sums of histograms are what merging gives."""

from loadgen.stats.sums import HistogramSums
from loadgen.stats.tally import Tally


def test_sums_are_what_merging_gives():
    sums, merged = HistogramSums(), Tally()
    for value in (3, 40_000, 10**12):
        tally = Tally()
        tally.handshake.record(value)
        tally.ping_rtt.record(7)
        sums.add(tally)
        merged.merge(tally)

    found = Tally()
    sums.add_to(found)
    assert found == merged

    sums.add_to(found)
    assert found.ping_rtt.total == 6
