"""What an exporter for Prometheus says of the machine or the process that it is about."""

import msgspec
from prometheus_client.parser import text_string_to_metric_families

IDLE = ("idle", "iowait")


class Reading(msgspec.Struct, omit_defaults=True):
    """One scrape of a watched server; None is what its exporter does not tell."""

    second: int
    """Of the run."""
    name: str
    """What the operator calls it."""
    cpu_s: float | None = None
    """CPU seconds used so far, of all cores."""
    memory: float | None = None
    """Bytes in use."""
    files: float | None = None
    """Open files."""
    sockets: float | None = None
    """TCP sockets in use."""


def reading_of(name: str, second: int, text: str) -> Reading:
    """What a scrape says: of the machine (node_exporter's names), else of the process; ValueError when it is none."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.labels.get("mode") not in IDLE:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    total, available = found.get("node_memory_MemTotal_bytes"), found.get("node_memory_MemAvailable_bytes")
    used = total - available if total is not None and available is not None else None
    return Reading(
        second,
        name,
        found.get("node_cpu_seconds_total", found.get("process_cpu_seconds_total")),
        used if used is not None else found.get("process_resident_memory_bytes"),
        found.get("node_filefd_allocated", found.get("process_open_fds")),
        found.get("node_sockstat_TCP_inuse"),
    )
