"""Each example of the documents is played, or listed with its reason."""

import pytest

from tests.examples.documents import Example, examples, examples_in
from tests.examples.table import (
    FILES,
    MODES,
    NOT_HERE,
    STAND_INS,
    files_for,
    is_played_by_a_command,
    mode_for,
    stand_in_for,
    why_not_here,
)
from tests.examples.test_examples import PLAYED, hastened, places_for, words_for

DOCUMENT = """
Text:

    loadgen-coord --local 2 \\
        --max 5  # five
    make demo
    make lint
    loadgen-report --trend runs/*

```toml
rate = 10
```

    loadgen-coord: a message, no command

```python
async def session(user):
    pass
```

```yaml
jobs: { load: { steps: [{ uses: a }, { run: "loadgen-coord --local 1" }] } }
```

```text
    loadgen-coord shows this
```
"""


DEMO = "loadgen-coord --local 4 --with-target --rate 2000 --max 20000 --hold 12 --think 5"
"""The recipe of the Makefile."""


@pytest.mark.parametrize(
    "rule", [*NOT_HERE, *MODES, *STAND_INS, *FILES], ids=lambda rule: f"{rule.page} {rule.says}"
)
def test_a_rule_says_something_of_an_example(rule):
    assert [one.title for one in examples() if rule.of(one)] != []


def test_commands_plans_and_sessions_of_a_document_are_its_examples():
    assert list(examples_in(DOCUMENT)) == [
        ("plan", "rate = 10\n"),
        ("session", "async def session(user):\n    pass\n"),
        ("command", "loadgen-coord --local 1"),
        ("command", "loadgen-coord --local 2 --max 5 # five"),
        ("command", DEMO),
        ("report", "loadgen-report --trend runs/*"),
    ]


def test_every_example_is_played_or_listed_and_few_are_listed():
    load = {one.title for one in examples() if one.kind != "report"}
    left_out = load - {one.title for one in PLAYED}
    listed = {one.title for one in examples() if why_not_here(one)}
    by_command = {one.title for one in examples() if is_played_by_a_command(one)}

    assert left_out == listed | (by_command - {one.title for one in PLAYED})
    assert len(PLAYED) >= 20


def test_a_command_finds_its_files_and_the_hosts_that_it_names():
    (command,) = (one for one in PLAYED if "--feeder users.csv" in one.text)

    assert words_for(command) == command.text
    assert "user.row" in files_for(command)["login.py"]
    assert files_for(command)["users.csv"].startswith("id,name,token\n")
    assert places_for(command, command.text) == [(True, "chat.example", 443)]
    assert (mode_for(command), stand_in_for(command)) == ("echo", "")


def test_a_part_of_a_plan_gets_what_it_lacks():
    part = Example("docs/x.md", "plan", '[publish]\nby = "session"\n')

    assert words_for(part).endswith("--rate 50 --max 200 --hold 10")
    assert places_for(part, words_for(part)) == [(False, "127.0.0.1", 9505)]


def test_a_plan_takes_seconds_for_minutes_and_a_tenth_of_its_rates():
    plan = 'rate = 500\nmax = 50000\nhold = "10m"\nthink = "20s"\nstop_after = "2h"\nchurn = 5\n'

    assert hastened(plan) == (
        'rate = 50\nmax = 100\nhold = "10s"\nthink = "20s"\nstop_after = "2m"\nchurn = 1\n'
    )
