"""The control port does what its OpenAPI document says, and the document says all that the port
does."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import settings

from coordinator.http.openapi import OPERATIONS, document
from coordinator.http.server import Server
from coordinator.run.run import Run
from loadgen.plan.plan import Plan
from tests.processes import Coordinator, coordinator, get_json

schemathesis = pytest.importorskip(
    "schemathesis", reason="a dev dependency; pip install -e '.[dev]'"
)

SECRET = "s3cret"
BOUNDED = settings(max_examples=20, derandomize=True)


def test_every_path_is_in_the_document_and_none_besides():
    routes = Server(Run(Plan(), 1), monotonic).app.router.routes()
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in routes
        if route.method != "HEAD"
    }
    served = {
        (method, path)
        for method, path in served
        if path not in ("/", "/favicon.ico") and not path.startswith("/page/")
    }
    actions = {("post", f"/v1/run/{action}") for action in ("pause", "resume", "drain", "stop")}
    served = {one for one in served if "{action" not in one[1]} | actions

    assert {(one.method, one.path) for one in OPERATIONS} == served


@pytest.fixture(scope="module")
def coord(tmp_path_factory) -> Iterator[Coordinator]:
    """One that waits for agents throughout, and wants a token."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    token = folder / "token"
    token.write_text(SECRET)
    token.chmod(0o600)
    options = ("--agents", "999", "--wait", "600", "--token-file", str(token), "--public-view")
    with coordinator(folder / "runs", *options) as running:
        yield running


def test_the_document_is_served(coord):
    assert get_json(f"{coord.url}/openapi.json") == json.loads(document())


schema = schemathesis.openapi.from_dict(json.loads(document()))
asked = schema.exclude(path=["/events", "/v1/run/drain", "/v1/run/stop"])
"""Without what has no end, and what would be the coordinator's."""


@asked.parametrize()
@BOUNDED
def test_whatever_is_asked_the_answer_is_one_of_the_document(coord, case):
    """Any body and any parameters, fitting or not: never a 500, never an answer of another form."""
    case.call_and_validate(
        base_url=coord.url,
        headers={"Authorization": f"Bearer {SECRET}"},
        excluded_checks=[
            schemathesis.checks.CHECKS.get_one(
                "positive_data_acceptance"
            ),  # a run may say: not now
            schemathesis.checks.CHECKS.get_one(
                "negative_data_rejection"
            ),  # a newer version's fields are passed over
            schemathesis.checks.CHECKS.get_one("ignored_auth"),  # everybody may view this one
            schemathesis.checks.CHECKS.get_one("unsupported_method"),
        ],
    )
    assert "Traceback" not in coord.err
