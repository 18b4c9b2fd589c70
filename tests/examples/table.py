"""The surroundings of examples, and the reasons why some are not played here.

An example that is in none of these tables is played as it stands, against targets that echo.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tests.examples.documents import ROOT, Example, examples


class Rule(NamedTuple):
    """Says something of the examples of a page whose text has a fragment."""

    page: str
    fragment: str
    says: str

    def of(self, example: Example) -> bool:
        """True when the rule is about an example."""
        return example.page == self.page and self.fragment in example.text


FRAGMENT = "shows a few options, and dots for the rest of a command"
FLEET = "needs a fleet of machines: `make rehearse` makes one out of namespaces"
MILLION = "opens a million connections or more: `make million` does, `make scale` a tenth"
NOT_HERE = (
    Rule("README.md", "--max 2000000", MILLION),
    Rule("README.md", "--tsung bench.xml", "is the file of docs/from-tsung.md"),
    Rule("docs/ci.md", "…", FRAGMENT),
    Rule("docs/delivery.md", "body = {", "is a part of a plan of docs/plans.md, which is played"),
    Rule("docs/faults.md", "--resume", "goes on with a run that broke off: tests/faults"),
    Rule("docs/from-tsung.md", "2000000", MILLION),
    Rule("docs/from-tsung.md", "--tsung bench.xml", f"its file {MILLION}"),
    Rule("docs/getting-started.md", "--agents 4", FLEET),
    Rule("docs/getting-started.md", "--max 20000", "is the demo of the README, which is played"),
    Rule("docs/million/README.md", "--local", MILLION),
    Rule("docs/operate.md", "--max 20000", f"{FLEET}, and its output stands there"),
    Rule("docs/operate.md", "--calibrate", "takes the whole machine: integration/test_calibrate"),
    Rule("docs/operate.md", "…", FRAGMENT),
    Rule("docs/page/README.md", "…", FRAGMENT),
    Rule("docs/peers.md", "HOST:PORT", "is run by `make peers` against a server of its own"),
    Rule("docs/plans.md", "max = 2000000", MILLION),
    Rule("docs/plans.md", "FILE.toml", "stands for each plan of the page, and these are played"),
    Rule(
        "docs/plans.md", "--target-ca", "needs certificates of users: integration/test_target_tls"
    ),
    Rule("docs/recipes.md", "socket_io.py", "needs a Socket.IO server: `make recipes`"),
    Rule("docs/security.md", "...", FRAGMENT),
    Rule("docs/sessions.md", "# engine.io's ping", "needs engine.io's server: `make recipes`"),
    Rule(
        "docs/sessions.md", "Logs in over HTTP", "needs its server: integration/test_http_sessions"
    ),
    Rule(
        "docs/sessions.md", "A speaker", "is a part of a plan of docs/delivery.md, which is played"
    ),
    Rule("docs/sessions.md", "user.meet(1000)", "waits for more users than come here"),
    Rule("docs/sessions.md", "shop/", "its folder is the reader's own"),
    Rule("docs/sessions.md", "--har", "its recording is the reader's own: har's own tests"),
    Rule("docs/tsung-log.md", "…", FRAGMENT),
)
MODES = (
    Rule("docs/delivery.md", "speaker.py", "broadcast"),
    Rule("docs/plans.md", 'name = "no-pong"', "appwrite"),
    Rule("docs/sessions.md", "Logs in over the socket", "appwrite"),
    Rule("docs/sessions.md", "Publishes over HTTP", "appwrite"),
)
"""The modes of targets, where it is not echo."""
STAND_INS = (
    Rule("docs/plans.md", "documentId", "tests.recipes.servers.appwrite"),
    Rule("docs/plans.md", "9001/mqtt", "tests.examples.broker"),
)
"""The modules of servers that stand in for those of examples, where no target does what they do."""
FILES = (
    Rule("README.md", "async def session", "chat.py"),
    Rule("docs/plans.md", 'name = "storm"', "storm.toml"),
    Rule("docs/getting-started.md", "async def session", "chat.py"),
    Rule("docs/sessions.md", "A chat:", "chat.py"),
    Rule("docs/sessions.md", "user.row", "login.py"),
    Rule("docs/sessions.md", "All users talk in one room", "room.py"),
)
"""The names that commands give to plans and sessions of their page, or of one that it links to."""


def why_not_here(example: Example) -> str:
    """Returns why an example is not played; empty for one that is."""
    return _said(NOT_HERE, example)


def mode_for(example: Example) -> str:
    """Returns the mode of the targets of an example."""
    return _said(MODES, example) or "echo"


def stand_in_for(example: Example) -> str:
    """Returns the module of the server that stands in; empty where targets serve it."""
    return _said(STAND_INS, example)


def files_for(example: Example) -> dict[str, str]:
    """Returns the files that a command names, with their texts, by their names."""
    found = {rule.says: one.text for one in examples() for rule in FILES if rule.of(one)}
    own = {
        rule.says: one.text
        for one in examples()
        for rule in FILES
        if rule.of(one) and one.page == example.page
    }
    folder = ROOT / "docs" / "sessions"
    given = {f"sessions/{path.name}": path.read_text() for path in folder.glob("*.*")}
    given |= {path.name: path.read_text() for path in folder.glob("*.*")}
    return given | found | own


def is_played_by_a_command(example: Example) -> bool:
    """True for a session that a command of its page names."""
    names = {rule.says for rule in FILES if rule.of(example)}
    commands = [
        one.text
        for one in examples()
        if one.kind == "command" and one.page == example.page and not why_not_here(one)
    ]
    return any(f" {name} " in f"{text} " for name in names for text in commands)


def _said(rules: Iterable[Rule], example: Example) -> str:
    return next((rule.says for rule in rules if rule.of(example)), "")
