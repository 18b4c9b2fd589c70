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
    """A coordinator that waits for agents throughout, with a token."""
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
operations = schema.exclude(path=["/events", "/v1/run/drain", "/v1/run/stop"])
"""All operations but the one without an end and those that end the coordinator."""


@operations.parametrize()
@BOUNDED
def test_every_answer_is_one_of_the_document(coord, case):
    """No body and no parameters, valid or not, cause a 500.

    Every answer has a documented form.
    """
    case.call_and_validate(
        base_url=coord.url,
        headers={"Authorization": f"Bearer {SECRET}"},
        excluded_checks=[
            schemathesis.checks.CHECKS.get_one(
                "positive_data_acceptance"
            ),  # a run may refuse for now
            schemathesis.checks.CHECKS.get_one(
                "negative_data_rejection"
            ),  # a newer version's fields are ignored
            schemathesis.checks.CHECKS.get_one("ignored_auth"),  # --public-view
            schemathesis.checks.CHECKS.get_one("unsupported_method"),
        ],
    )
    assert "Traceback" not in coord.err
