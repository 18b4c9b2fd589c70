"""The arithmetic of the cost model, on samples whose costs are known."""

import msgspec
import pytest

from tests.costs import samples
from tests.costs.model import Point, fit, forecast, per_event, quantities
from tests.unit.costs.invented import (
    AGENTS,
    OPEN_S,
    PING_S,
    RATE,
    WORKER_BASE,
    WORKER_BYTES,
    invented,
    series,
)


def line_of(name, measured):
    return next(quantity.line for quantity in quantities(measured) if quantity.name == name)


def test_a_line_is_found_again_whatever_number_of_processes_shares_it():
    points = [
        Point(size, processes, 7.0 * processes + 0.5 * size)
        for size, processes in ((1000, 4), (9000, 16))
    ]

    line = fit([*points, Point(50_000, 64, 7.0 * 64 + 25_000)])

    assert line.base == pytest.approx(7.0)
    assert line.slope == pytest.approx(0.5)
    assert line.r2 == pytest.approx(1.0)
    assert abs(line.deviation) < 1e-9


def test_the_largest_deviation_is_named_with_its_size():
    line = fit([Point(1000, 1, 1000.0), Point(10_000, 1, 10_000.0), Point(100_000, 1, 150_000.0)])

    assert line.deviation_at == 100_000
    assert 0.1 < line.deviation < 0.5


def test_small_fleets_count_as_much_as_large_ones():
    """By plain residuals the line would pass through the two large ones.

    It would be far from the small ones.
    """
    small = [Point(size, 1, 2.0 * size) for size in (1000, 2000, 4000, 8000)]

    line = fit([*small, Point(500_000, 1, 3.0 * 500_000), Point(1_000_000, 1, 3.0 * 1_000_000)])

    assert line.at(2000, 1) == pytest.approx(4000, rel=0.25)


def test_a_total_that_noise_turned_negative_counts_for_nothing():
    line = fit([Point(10, 1, -50.0), Point(1000, 1, 2000.0), Point(2000, 1, 4000.0)])

    assert line.slope == pytest.approx(2.0)


def test_what_is_used_when_idle_is_no_part_of_an_event():
    sample = invented(10_000)

    assert per_event(sample, "worker", sample.ramp, "opened") == pytest.approx(OPEN_S)
    assert per_event(sample, "worker", sample.pings, "pings") == pytest.approx(PING_S)


def test_costs_are_found_again():
    measured = series()

    memory = line_of("worker", measured)
    assert memory.slope == pytest.approx(WORKER_BYTES)
    assert line_of("worker, open", measured).slope == pytest.approx(OPEN_S)
    assert line_of("kernel, both ends", measured).slope == pytest.approx(10_000)


def test_a_forecast_adds_up_processes_and_connections():
    cost = forecast(series(), connections=64_000, workers=4, opens=100.0, pings=2000.0)

    assert cost.user_bytes == pytest.approx(4 * WORKER_BASE + 64_000 * WORKER_BYTES)
    assert cost.kernel_bytes == pytest.approx(64_000 * 5_000)
    assert cost.cpu["opens"] == pytest.approx(100.0 * OPEN_S)
    assert cost.cpu["pings and pongs"] == pytest.approx(2000.0 * PING_S)


def test_samples_come_back_from_their_file_a_line_each(tmp_path):
    path = tmp_path / "samples.json"

    samples.write(series(), path)

    assert samples.read(path) == series()
    assert len(path.read_text().splitlines()) == 2 + len(series().samples)
    assert msgspec.json.decode(path.read_bytes())["rate"] == RATE
    assert samples.read(path).agents == AGENTS
