"""Users that each do another bad thing: each ends itself, and no worker."""

import re

from loadgen.stats.recorder import MAX_OWN_NAMES
from tests.processes import coordinator, target

BAD = """
import sys

BAD = {}


def bad(function):
    BAD[len(BAD)] = function
    return function


@bad
async def check_without_reply(user, ws):
    user.check("reply", (await ws.receive(timeout=0.1)) == "no", fatal=True)


@bad
async def fatal_check(user, ws):
    user.check("never", None, fatal=True, sample=object())


@bad
async def no_json(user, ws):
    await ws.send_json({"set": {1, 2}})


@bad
async def broken_json(user, ws):
    import json
    json.loads("{")


@bad
async def surrogates_sent(user, ws):
    await ws.send("\\ud800")


@bad
async def surrogates_in_an_error(user, ws):
    raise ValueError("\\udfff" * 100)


@bad
async def surrogates_named(user, ws):
    user.count("\\ud800")
    user.check("\\ud800", False, sample="\\ud800")
    user.took("\\ud800", 1.0)
    user.remark("\\ud800")
    raise LookupError


@bad
async def below_zero(user, ws):
    user.count("greeted", -1)


@bad
async def counts_no_number(user, ws):
    user.count("greeted", "x")


@bad
async def beyond_the_wire(user, ws):
    user.count("greeted", 10**30)


@bad
async def takes_no_time(user, ws):
    user.took("negative", -5.0)
    user.took("nothing", float("nan"))


@bad
async def takes_for_ever(user, ws):
    user.took("for ever", float("inf"))


@bad
async def long_reason(user, ws):
    await ws.close(ledger="x" * 100_000)
    raise LookupError


@bad
async def long_class(user, ws):
    raise type("X" * 1_000_000, (Exception,), {})("y" * 1_000_000)


@bad
async def unspeakable(user, ws):
    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError("no")
        __repr__ = __str__
    raise Unspeakable


@bad
async def unspeakable_condition(user, ws):
    class Unspeakable:
        def __bool__(self):
            return False
        def __repr__(self):
            raise SystemExit(3)
    user.check("unspeakable", Unspeakable(), sample=Unspeakable())


@bad
async def long_remark(user, ws):
    user.remark("r" * 5_000_000)
    raise LookupError


@bad
async def long_names(user, ws):
    user.count("c" * 5_000_000)
    user.took("t" * 5_000_000, 0.1)
    user.check("k" * 5_000_000, False)
    raise LookupError


@bad
async def a_name_that_is_none(user, ws):
    user.count(None)
    user.took(7, 0.1)
    user.check(b"bytes", False)


@bad
async def many_names(user, ws):
    for number in range(30_000):
        user.count(f"z{number}")
        if number % 100 == 0:
            user.took(f"t{number}", 0.1)
            user.check(f"k{number}", False)
        if number % 10_000 == 0:
            await user.think(0)
    raise LookupError


@bad
async def leaves(user, ws):
    sys.exit("leaves")


@bad
async def interrupts(user, ws):
    raise KeyboardInterrupt


@bad
async def exits_the_generator(user, ws):
    raise GeneratorExit


@bad
async def cancels(user, ws):
    import asyncio
    raise asyncio.CancelledError


@bad
async def stops(user, ws):
    raise StopAsyncIteration


@bad
async def recursion(user, ws):
    def deeper():
        deeper()
    deeper()


@bad
async def memory(user, ws):
    bytearray(1 << 60)


@bad
async def awaits_nothing(user, ws):
    class Odd:
        def __await__(self):
            yield 7
    await Odd()


@bad
async def leaves_at_its_end(user, ws):
    try:
        await user.think(60)
    finally:
        sys.exit(3)


@bad
async def surrogates_as_an_error(user, ws):
    raise type("\\ud800", (Exception,), {})


@bad
async def refuses_to_end(user, ws):
    while True:
        try:
            await ws.receive()
        except BaseException:
            await user.think(0.01)


@bad
async def sends_what_is_no_message(user, ws):
    await ws.send(7)


@bad
async def thinks_backwards(user, ws):
    await user.think(-1)
    await user.think(float("nan"))


@bad
async def aborts_with_much(user, ws):
    user.vars["x"] = "\\ud800" * 1_000_000
    raise LookupError(user.vars["x"])


def choose(user):
    if user.number == 1:
        return None
    return play(user)


session = choose


async def play(user):
    ws = await user.connect()
    await ws.receive(timeout=30)
    number = user.number
    if number % 2 and number // 2 in BAD:
        await BAD[number // 2](user, ws)
        return
    await user.think(0.5)
    await ws.close()
"""
"""Odd users are bad, each in its own way; the even ones are good."""


def test_each_bad_thing_ends_its_own_user_at_most(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(BAD)
    kinds = BAD.count("@bad")
    load = ("--max", str(2 * kinds), "--rate", "40", "--hold", "3", "--session", str(path))
    with (
        target("--workers", "1", "--mode", "appwrite") as server,
        coordinator(tmp_path / "runs", *load, server.ws, "--local", "1") as coord,
    ):
        code = coord.end()
        assert code == 0, coord.err
    summary = coord.summary()

    assert (summary["launched"], summary["relaunched"], summary["lost"]) == (2 * kinds, 0, 0)
    figures = ("sessions_started", "sessions_done", "sessions_failed")
    harmless = 3  # what they do is odd, and no error; one of them has to be drained
    assert [summary[figure] for figure in figures] == [
        2 * kinds,
        kinds + harmless,
        kinds - harmless,
    ]
    assert summary["closed"]["done"] == kinds + harmless - 1
    assert summary["failed"] == {"error_TypeError": 1}  # the one that is no coroutine
    reasons = set(summary["closed"]) - {"done", "drained"}
    assert reasons >= {
        "error_CancelledError",
        "error_CheckFailed",
        "error_GeneratorExit",
        "error_JSONDecodeError",
        "error_KeyboardInterrupt",
        "error_LookupError",
        "error_MemoryError",
        "error_OverflowError",
        "error_RecursionError",
        "error_StopAsyncIteration",
        "error_SystemExit",
        "error_TypeError",
        "error_UnicodeEncodeError",
        "error_ValueError",
        "error_" + "X" * 80,
        "x" * 80,  # the name that a session gave to its end
    }
    samples = summary["tracebacks"]
    for reason in reasons - {"x" * 80}:
        sample = (coord.folder / samples[reason]).read_text()
        assert reason == "error_TypeError" or "bad.py" in sample or "Unspeakable" in sample
        assert len(sample) < 10_000
    made_up = [name for name in summary["counters"] if re.fullmatch(r"z\d+", name)]
    assert len(made_up) == MAX_OWN_NAMES
    assert summary["counters"]["other"] >= 30_000 - MAX_OWN_NAMES
    log = (coord.folder / "agents" / "local-1.log").read_text()
    assert "is gone" not in log
    assert "user 33: rrr" in log
    assert len(log) < 10_000
