"""Texts of sessions, targets and agents that command a terminal or forge a line."""

from loadgen.machine.limits import Limit
from loadgen.wire import Post
from tests.faults.fault import ledger_text
from tests.hostile.arena import COUNT, FLEET, KEPT, Arena, Survived
from tests.hostile.liar import Liar
from tests.hostile.server import FORGED
from tests.hostile.trial import trial

SESSION = f"""
FORGED = {FORGED!a}

async def session(user):
    ws = await user.connect()
    user.count("counter" + FORGED)
    user.took("timing" + FORGED, 0.1)
    user.check("check" + FORGED, False, sample=FORGED)
    user.remark("remark" + FORGED)
    print("printed" + FORGED)
    await user.think(1)
    if user.number % 3 == 0:
        raise type("Error" + FORGED, (Exception,), {{}})("message" + FORGED)
    if user.number % 3 == 1:
        await ws.close(ledger="reason" + FORGED)
"""
COMMANDS = ("\x1b", "\x9b", "\x07", "\u202e", "\u2028")
"""Characters that no output may have."""


def _prints(arena: Arena) -> None:
    """Fails for a character that commands a terminal, or a forged line, in an output."""
    texts = {one.process.args[-1]: one.out + one.err for one in arena.commands}
    for path in arena.run.rglob("*"):
        named = path.relative_to(arena.run).parts
        if path.is_file() and not {*named} & {*KEPT} and path.suffix != ".html":
            texts["/".join(named)] = path.read_text(errors="replace")
    for name, text in texts.items():
        found = [ascii(sign) for sign in COMMANDS if sign in text]
        assert not found, f"{found} in {name}"
        assert "\nloadgen-coord: all is well" not in text or name.startswith("errors/"), (
            f"a forged line in {name}"
        )


@trial("sessions name counters, timings, checks, reasons and exceptions by escape sequences")
def sessions_command_terminals(arena: Arena) -> Survived:
    """The texts are printable wherever they come."""
    session = arena.folder / "forging.py"
    session.write_text(SESSION)
    arena.target()
    arena.coordinator(
        "--session", str(session), "--tsung-log", "text", count=90, agents=FLEET, hold=3
    )
    arena.fleet(FLEET, "--allow-sessions")
    summary = arena.ends(0)
    _prints(arena)
    result = arena.survived(summary)
    return result._replace(ledger=result.ledger[:150].encode("ascii", "replace").decode())


@trial("a target closes with a reason of escape sequences and line ends", small=True)
def target_commands_terminals(arena: Arena) -> Survived:
    """The reason stays out of the ledger, which has the code."""
    arena.hostile_target("forged_reason")
    arena.coordinator("--tsung-log", "text", count=50, agents=FLEET, hold=2)
    arena.fleet()
    summary = arena.ends(0)
    assert summary["closed"].get("server_4000", 0) > 0, ledger_text(summary)
    _prints(arena)
    return arena.survived(summary)


@trial("a target refuses with a phrase, headers and a body of escape sequences", small=True)
def refusal_commands_terminals(arena: Arena) -> Survived:
    """The sample of the reply is printable."""
    arena.hostile_target("forged_refusal")
    arena.coordinator(count=50, agents=FLEET, hold=1)
    arena.fleet()
    summary = arena.ends(0)
    assert sum(summary["failed"].values()) == 50, ledger_text(summary)
    _prints(arena)
    return arena.survived(summary)


@trial("an agent's name, limits, refusal and notes are escape sequences", small=True)
def agent_commands_terminals(arena: Arena) -> Survived:
    """The words of an agent are printable wherever they come."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET, hold=3)
    limit = Limit(FORGED, 10, FORGED, FORGED, FORGED)
    liar = Liar(arena, f"liar{FORGED}", 10, (limit,), {f"fact{FORGED}": FORGED})
    liar.post(Post(refusal=f"refuses{FORGED}", notes=(f"note{FORGED}",)))
    liar.post(Post(refusal="no", tracebacks={f"reason{FORGED}": FORGED}, limits=(limit,)))
    arena.fleet()
    summary = arena.ends(0)
    _prints(arena)
    return arena.survived(summary)
