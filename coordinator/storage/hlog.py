"""histograms.hlog: the histograms of every second in HdrHistogram's log format.

Each interval is one histogram of one second, in microseconds, tagged with the histogram's name.
"""

import contextlib
import io
import zlib
from datetime import datetime
from pathlib import Path

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader, HistogramLogWriter

from coordinator.text import clean_name
from loadgen.stats.histogram import HIGHEST, highest_in
from loadgen.stats.tally import Tally


def header(second_0: datetime) -> bytes:
    """Returns the first lines of the log; second 0 began then by the wall clock."""
    # The library's own output_start_time calls a method that datetime does not have.
    buffer = io.StringIO()
    writer = HistogramLogWriter(buffer)
    writer.output_log_format_version()
    writer.output_comment(
        f"[StartTime: {second_0.timestamp():f} (seconds since epoch), {second_0.isoformat(' ')}]"
    )
    writer.output_base_time(second_0.timestamp() * 1000)
    writer.output_comment(
        "Microseconds inside, one interval a settled second and a histogram, tagged with its name."
    )
    writer.output_legend()
    return buffer.getvalue().encode()


def lines(second: int, tally: Tally) -> bytes:
    """Returns the lines of one second: its histograms and timings that are not empty."""
    timings = {
        f"timing.{clean_name(name, 'unnamed')}": histogram
        for name, histogram in tally.timings.items()
    }
    found = []
    for name, histogram in (tally.histograms() | timings).items():
        if histogram.counts:
            most = highest_in(max(histogram.counts)) // 1000
            found.append(
                f"Tag={name},{second:.6f},1.000000,{most:.6f},{histogram.encoded()}\n".encode()
            )
    return b"".join(found)


def read_buckets(log: Path) -> dict[str, list[tuple[int, int]]]:
    """Returns the sum of all intervals of each tag, as filled buckets.

    A bucket is its value and its count.

    A torn last line is left out. Without a log the result is empty.
    """
    if not log.exists():
        return {}
    reader = HistogramLogReader(str(log), HdrHistogram(1, HIGHEST, 2))
    sums: dict[str, HdrHistogram] = {}
    try:
        # On a torn line the library raises what it stumbles over: an index, a value, zlib's or
        # base64's own error.
        with contextlib.suppress(ValueError, IndexError, zlib.error):
            while (interval := reader.get_next_interval_histogram()) is not None:
                sums.setdefault(interval.get_tag(), HdrHistogram(1, HIGHEST, 2)).add(interval)
    finally:
        reader.input_file.close()
    return {
        tag: [
            (step.value_iterated_to, step.count_added_in_this_iter_step)
            for step in histogram.get_recorded_iterator()
        ]
        for tag, histogram in sums.items()
    }
