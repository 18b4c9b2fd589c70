"""The schema of plan files, and the names that mistakes may have meant."""

import json
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from loadgen.plan.plan import Plan
from loadgen.plan.schema import MAX_NAMES, hint, names_at, plan_schema
from loadgen.planfile import to_toml
from tests.processes import BIN, PATIENCE

ROOT = Path(__file__).parents[4]
PLANS = sorted([*(ROOT / "examples").glob("*.toml"), *(ROOT / "docs").rglob("*.toml")])


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Judges plans by the schema, as an editor does; returns what is wrong with them."""
    folder = tmp_path_factory.mktemp("schema")
    schema = folder / "plan.schema.json"
    schema.write_bytes(msgspec.json.encode(plan_schema()))

    def judged(*documents):
        files = []
        for number, document in enumerate(documents):
            files.append(folder / f"{number}.json")
            files[-1].write_text(json.dumps(document, default=str))
        words = [str(BIN / "check-jsonschema"), "--schemafile", str(schema), *map(str, files)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return done.stdout if done.returncode else ""

    return judged


def test_every_plan_of_docs_and_examples_fits_the_schema(check):
    assert len(PLANS) > 3
    documents = [tomllib.loads(path.read_text()) for path in PLANS]

    assert check(*documents, tomllib.loads(to_toml(Plan()).decode())) == ""


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"rte": 5}, "'rte' was unexpected"),
        ({"max": "many"}, "not of type 'integer'"),
        ({"think": "soon"}, "is not valid under any of the given schemas"),
        ({"phases": [{"duration": "5 hours"}]}, "is not valid under any of the given schemas"),
        ({"feeders": [{"name": "a", "table": "b"}]}, "'table' was unexpected"),
    ],
)
def test_a_mistake_does_not(check, document, said):
    assert said in check(document)


def test_durations_may_be_text(check):
    steps = [{"do": "think", "seconds": "500ms"}]
    script = {"kind": "script", "name": "a", "steps": steps}
    document = {
        "think": "30s",
        "hold": "sessions",
        "phases": [{"duration": "5m", "jitter": 2}],
        "sessions": [{"kind": "loop", "name": "b", "think": "1h"}, script],
        "transport": {"connect_timeout": "5s", "resolve": "once"},
        "publish": {"grace": "2s"},
    }

    assert check(document) == ""


SCRIPT = {"sessions": [{"kind": "script", "steps": [{"do": "send", "txt": "x"}, {"do": "snd"}]}]}


@pytest.mark.parametrize(
    ("document", "keys", "among"),
    [
        ({}, (), "rate"),
        ({}, ("arrival",), "poisson"),
        ({}, ("hold",), "sessions"),
        ({}, ("transport",), "tls_verify"),
        ({}, ("publish", "by"), "http"),
        ({"sessions": [{"kind": "lop"}]}, ("sessions", 0, "kind"), "loop"),
        ({"sessions": [{"kind": "loop"}]}, ("sessions", 0), "think"),
        (SCRIPT, ("sessions", 0, "steps", 0), "text"),
        (SCRIPT, ("sessions", 0, "steps", 1, "do"), "connect"),
    ],
)
def test_the_legal_names_of_a_place_are_known(document, keys, among):
    assert among in names_at(document, keys)


@pytest.mark.parametrize("keys", [("rate",), ("nowhere", 3), ("phases", "x"), ("sessions", 9)])
def test_a_place_without_names_has_none(keys):
    assert names_at({"phases": []}, keys) == []


def test_the_nearest_name_is_offered_else_all():
    assert hint("rte", ["rate", "max"]) == "; did you mean 'rate'?"
    assert hint("xyz", ["rate", "max"]) == "; write one of rate, max"
    assert hint("xyz", []) == ""
    assert hint("xyz", [f"name{number}" for number in range(MAX_NAMES + 1)]) == ""
