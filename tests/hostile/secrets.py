"""Secrets in plans, and those that a run finds, must not be seen anywhere."""

from tests.hostile.arena import Arena, Survived
from tests.hostile.trial import trial

PLAN = """
target = "{target}"
hold = "sessions"
rate = 100
max = 50

[transport]
headers = {{ Authorization = "Bearer planted-header" }}

[[feeders]]
name = "people"
mode = "shared"
rows = [{{ login = "planted-login", password = "planted-row" }}]

[[sessions]]
kind = "script"
name = "member"
steps = [
  {{ do = "connect", headers = {{ "X-Key" = "planted-step-header" }} }},
  {{ do = "send", text = "planted-step-text %%password%%", subst = true }},
  {{ do = "think", seconds = 0.5 }},
  {{ do = "close" }},
]
"""
PLANTED = (
    "planted-header",
    "planted-login",
    "planted-row",
    "planted-step-header",
    "planted-step-text",
)
LOGIN = """
async def session(user):
    async with user.http.post("/login", json={"user": f"planted{user.number}"}) as reply:
        token = (await reply.json())["token"]
    jar = "; ".join(f"{name}={value}" for name, value in user.http.cookies.items())
    ws = await user.connect(f"/ws?token={token}", headers={"Cookie": jar})
    await ws.send(token)
    await user.think(0.5)
    await ws.close()
"""


def _views(arena: Arena) -> str:
    """Returns what every view shows to the owner and to the public."""
    paths = ("/v1/run", "/v1/run/seconds?since=0", "/metrics", "/v1/sd", "/es/ts_api:status")
    shown = [arena.ask(path, token=token)[1] for path in paths for token in (True, False)]
    return b"".join(shown).decode()


@trial("secrets stand in a plan's headers, steps and rows", small=True)
def planted_in_a_plan(arena: Arena) -> Survived:
    """Every output and every view is searched for them."""
    arena.target()
    plan = arena.folder / "planted.toml"
    plan.write_text(PLAN.format(target=arena.server.ws))
    arena.coordinator("--plan", str(plan), planned=True, agents=2)
    arena.fleet(2)
    arena.coord.says("running")
    shown = _views(arena)
    found = [secret for secret in PLANTED if secret in shown]
    assert not found, f"{found} in a view"
    summary = arena.ends(0)
    assert summary["opened"] == 50, summary
    mode = (arena.run / "plan.toml").stat().st_mode & 0o777
    assert mode == 0o600, oct(mode)
    return arena.survived(summary, None, *PLANTED)


@trial("sessions log in, and take tokens and cookies to the socket")
def found_in_a_run(arena: Arena) -> Survived:
    """Tokens that a server gave stand in no output."""
    session = arena.folder / "login.py"
    session.write_text(LOGIN)
    arena.hostile_target("quiet")
    arena.coordinator("--session", str(session), count=50, agents=2, hold=3)
    arena.fleet(2, "--allow-sessions")
    shown = _views(arena)
    summary = arena.ends(0)
    assert summary["opened"] == 50, summary
    secrets = [f"t-planted{number}" for number in range(50)]
    assert not [one for one in secrets if one in shown], "a token is in a view"
    return arena.survived(summary, None, *secrets)
