"""The unit of time of tests that can't but wait."""

import os

MS = 0.001 * float(os.environ.get("LOADGEN_TEST_TIME_FACTOR", "1"))
"""One millisecond, in seconds; a slow machine sets the factor, which makes it longer."""
