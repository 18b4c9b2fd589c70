"""The CPU and the memory of a worker process."""

from typing import Annotated

import msgspec

from loadgen.stats.tally import Count

CpuSeconds = Annotated[float, msgspec.Meta(ge=0)]


class WorkerVitals(msgspec.Struct):
    """The CPU seconds and the resident bytes of one worker process."""

    worker: Count
    cpu_s: CpuSeconds
    rss: Count
