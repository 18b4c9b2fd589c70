"""The rows of a feeder on one worker: memory for each, and time to read one."""

import os
from multiprocessing import get_context
from time import process_time

import msgspec

from loadgen.plan.feeder import Feeder
from loadgen.plan.plan import Plan
from loadgen.sessions.rows import file_of, rows_of
from tests.bench.goal import Goal
from tests.bench.job import resident_bytes

ROWS = 500_000
READ = 50_000
COLUMNS = ("id", "name", "token")


def run() -> list[Goal]:
    """Returns the memory for each row, and the time of a row beside its JSON's."""
    lines = [b'["u%07d","Doe, Jo %d","tok+/%07d=="]\n' % (row, row, row) for row in range(ROWS)]
    plan = Plan(feeders=(Feeder(file="users.csv", columns=COLUMNS, count=ROWS, mode="shared"),))
    file = file_of([b"".join(lines)])
    with get_context("fork").Pool(1) as worker:
        grown, ratio = worker.apply(measured, (plan, file, lines[:READ]))
    os.close(file)
    return [
        Goal("memory of a worker per row that its users may have", grown / ROWS, "bytes", 4.0),
        Goal("a row of a user beside decoding its JSON", ratio, "times", 10.0),
    ]


def measured(plan: Plan, file: int, lines: list[bytes]) -> tuple[int, float]:
    """Returns the bytes that the process grows by, and the time of rows beside JSON."""
    before = resident_bytes(os.getpid())
    rows = rows_of(plan, file)["loop"]
    begin = process_time()
    for number in range(READ):
        rows[number * 7 % ROWS]
    took = process_time() - begin
    begin = process_time()
    for line in lines:
        dict(zip(COLUMNS, msgspec.json.decode(line), strict=True))
    return resident_bytes(os.getpid()) - before, took / (process_time() - begin)
