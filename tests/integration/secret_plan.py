"""A plan with a secret in each field that may hold one, and who finds them."""

import base64
from pathlib import Path


class Secrets:
    """Makes secrets, and finds those that stand in a text."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def __call__(self, where: str) -> str:
        """Returns the secret of a place in the plan, or of a reply."""
        return self._made.setdefault(where, f"Zq{len(self._made):02}{where.replace('.', '')}xW")

    def found_in(self, data: bytes) -> list[str]:
        """Returns the places whose secrets are in bytes, plain, as base64 or as hex."""
        return [
            where
            for where, secret in self._made.items()
            if secret.encode() in data
            or base64.b64encode(secret.encode())[: len(secret) // 3 * 4] in data
            or secret.encode().hex().encode() in data
        ]


SESSION = """
import pathlib

KEY = {source!r}

async def session(user):
    assert user.row["password"]
    ws = await user.connect()
    await ws.send(KEY)
    await ws.receive()
    reply = await user.http.get("/denied", params={{"token": KEY}})
    raise ValueError(f"{{user.target}} {{dict(reply.headers)}} {{await reply.text()}}")
"""


def plan_with(secret: Secrets, folder: Path, server: int, proxy: int) -> Path:
    """Writes a plan with a secret in each field that may hold one."""
    (folder / "own.py").write_text(SESSION.format(source=secret("source")))
    path = folder / "secret-plan.toml"
    path.write_text(
        load_with(secret, server, proxy)
        + sessions_with(secret)
        + requests_with(secret)
        + steps_with(secret)
        + LOOP
    )
    return path


def load_with(secret: Secrets, server: int, proxy: int) -> str:
    """Returns the head of a plan: targets, transport and publisher."""
    url = f"ws://127.0.0.1:{server}/ws?room=1&token="
    return f"""
rate = 50
max = 18
hold = 600
files = {{ users = "{secret("files")}" }}

[[targets]]
url = "{url}{secret("targets.0")}"
[[targets]]
url = "{url}{secret("targets.1")}"

[transport]
headers = {{ Authorization = "Bearer {secret("header")}", X-Own = "{secret("header.own")}" }}
subprotocols = ["talk", "{secret("subprotocol")}-0123456789"]
proxy = "http://{secret("proxy.user")}:{secret("proxy.password")}@127.0.0.1:{proxy}"

[publish]
grace = 1
url = "http://{secret("publish.user")}:x@127.0.0.1:{server}/publish?api_key={secret("publish.url")}"
headers = {{ X-Own = "{secret("publish.header")}" }}
body = {{ key = "{secret("publish.body")}", data = "{{{{stamp}}}}" }}
"""


def sessions_with(secret: Secrets) -> str:
    """Returns the feeder and sessions of a plan; steps of the last one follow."""
    return f"""
[[feeders]]
name = "logins"
rows = [{{ password = "{secret("row")}" }}]
mode = "shared"

[[sessions]]
kind = "python"
name = "own"
file = "own.py"

[[sessions]]
kind = "script"
name = "steps"
reply = [
  {{ match = "^never$", send = "{secret("reply.send")}" }},
  {{ json = {{ key = "{secret("reply.json")}" }}, hex = "{secret("reply.hex").encode().hex()}" }},
]
"""


def requests_with(secret: Secrets) -> str:
    """Returns the steps of a script that send requests by HTTP."""
    return f"""
[[sessions.steps]]
do = "http"
method = "POST"
url = "/login?token={secret("http.url")}"
headers = {{ X-Own = "{secret("http.header")}" }}
json = {{ password = "{secret("http.json")}" }}
auth = ["{secret("auth.user")}", "{secret("auth.password")}"]
extract = [
  {{ var = "token", by = "jsonpath", expr = "token" }},
  {{ var = "sid", by = "cookie", expr = "sid" }},
]
check = [{{ name = "admin", jsonpath = "admin", equals = "{secret("check")}" }}]

[[sessions.steps]]
do = "http"
method = "POST"
url = "/denied?token=%%token%%"
subst = true
form = {{ password = "{secret("http.form")}" }}

[[sessions.steps]]
do = "http"
method = "POST"
url = "/denied"
text = "{secret("http.text")}"
"""


def steps_with(secret: Secrets) -> str:
    """Returns the steps of a script that connect and send."""
    return f"""
[[sessions.steps]]
do = "set"
names = ["key"]
source = "value"
value = "{secret("set")}"

[[sessions.steps]]
do = "if"
condition = {{ var = "key", value = "{secret("condition")}" }}
steps = [{{ do = "think", seconds = 0.1 }}]

[[sessions.steps]]
do = "connect"
path = "/ws?token=%%token%%&jwt={secret("connect.path")}"
subst = true
headers = {{ X-Own = "%%sid%%{secret("connect.header")}" }}
subprotocols = ["{secret("connect.subprotocol")}-0123456789"]

[[sessions.steps]]
do = "send"
text = "%%token%% {secret("send.text")}"
subst = true
ack = true
match = [{{ pattern = "token", do = "dump" }}]
check = [{{ name = "more", jsonpath = "more", equals = 1 }}]

[[sessions.steps]]
do = "send"
hex = "{secret("send.hex").encode().hex()}"

[[sessions.steps]]
do = "send"
base64 = "{base64.b64encode(secret("send.base64").encode()).decode()}"

[[sessions.steps]]
do = "think"
seconds = 0.5

[[sessions.steps]]
do = "connect"
path = "/refused?token=%%token%%"
subst = true
"""


LOOP = """
[[sessions]]
kind = "loop"
name = "holds"
think = 1
"""
