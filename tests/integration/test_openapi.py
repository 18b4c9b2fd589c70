"""The coordinator's port answers as its OpenAPI document says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from coordinator.http.openapi import document
from tests.processes import Coordinator, coordinator, get_json

schemathesis = pytest.importorskip(
    "schemathesis", reason="a dev dependency; pip install -e '.[dev]'"
)

SECRET = "s3cret"
BOUNDED = settings(max_examples=20, derandomize=True)


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
