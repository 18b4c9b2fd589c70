"""A settled second in InfluxDB's line protocol.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/

The library influxdb-client, which the extra `loadgen[influxdb]` installs, escapes and formats.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from coordinator.report.samples import AGENT_P99S, AGENT_SERIES, Sample
from coordinator.report.seconds import Value, figures_of, kind_of
from loadgen.errors import OperatorError

FLEET = "loadgen"
"""The measurement with the figures of the fleet, by the names of the CSV's columns."""
AGENT = "loadgen_agent"
"""The measurement with the figures of each agent."""
ENDS = "loadgen_ends"
"""The measurement with the failed, closed and lost connections of each reason."""


def check_library() -> None:
    """Raises OperatorError when influxdb-client is not installed."""
    try:
        import influxdb_client  # noqa: F401, PLC0415  # only --export needs it
    except ImportError as error:
        raise OperatorError(
            "--export needs influxdb-client: pip install 'loadgen[influxdb]'"
        ) from error


def lines_of(sample: Sample, run: str, at: int) -> Iterator[str]:
    """Yields the lines of a second; `at` is its begin in seconds of UNIX time.

    A later version of the second has the same tags and time, so it overwrites the earlier one.
    """
    tags = {"run": run}
    yield _line(FLEET, tags, figures_of(sample), at)
    for agent, values in sample.agents.items():
        figures = dict(zip(map(_agent_column, AGENT_SERIES), values, strict=True))
        yield _line(AGENT, tags | {"agent": agent}, figures, at)
    for end, connections in sample.ends.items():
        fault, _, kind_and_reason = end.partition(": ")
        kind, _, reason = kind_and_reason.partition(" ")
        named = tags | {"kind": kind, "reason": reason, "fault": fault}
        yield _line(ENDS, named, {"connections": connections}, at)


def _agent_column(series: str) -> str:
    return f"{series}_p99_ms" if series in AGENT_P99S else series


def _line(measurement: str, tags: Mapping[str, str], figures: Mapping[str, Value], at: int) -> str:
    from influxdb_client.client.write.point import Point  # noqa: PLC0415  # only --export needs it

    point: Any = Point(measurement)  # type: ignore[no-untyped-call]  # the library has few types
    point.time(at, "s")
    for name, text in tags.items():
        point.tag(name, text)
    for name, value in figures.items():
        if value is not None and name != "second":
            point.field(name, _typed(name, value))
    return str(point.to_line_protocol())


def _typed(name: str, value: float | str) -> Value:
    """Returns a value in the type of its column.

    A receiver gives a field the type of its first value, and refuses others.
    """
    kind = kind_of(name)
    if kind == "text":
        return str(value)
    return int(value) if kind == "whole" or name == "connections" else float(value)
