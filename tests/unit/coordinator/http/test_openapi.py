"""The OpenAPI document follows from the table of routes."""

import json

from coordinator.http.openapi import document
from coordinator.http.routes import ROUTES
from loadgen.version import VERSION

DOCUMENT = json.loads(document())


def operation(method, path):
    return DOCUMENT["paths"][path][method]


def test_every_route_is_an_operation_with_its_name():
    operations = {
        (method.upper(), path, operation["operationId"])
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }

    assert operations == {(route.method, route.path, route.name) for route in ROUTES}
    assert DOCUMENT["info"]["version"].startswith(f"{VERSION}, wire ")


def test_a_body_is_required_and_has_a_schema():
    body = operation("post", "/v1/agents")["requestBody"]

    assert body["required"]
    reference = body["content"]["application/json"]["schema"]["$ref"]
    assert reference.rpartition("/")[2] in DOCUMENT["components"]["schemas"]
    assert "requestBody" not in operation("get", "/v1/run")


def test_parameters_are_those_of_the_path_and_of_the_query():
    (path,) = operation("post", "/v1/agents/{id}/seconds")["parameters"]
    (query,) = operation("get", "/v1/run/seconds")["parameters"]

    assert (path["name"], path["in"], path["required"]) == ("id", "path", True)
    assert (query["name"], query["in"], query["schema"]) == ("since", "query", {"type": "integer"})


def test_each_kind_of_access_has_its_refusals():
    assert "401" in operation("get", "/v1/run")["responses"]
    assert "413" in operation("post", "/v1/run/drain")["responses"]
    assert "401" not in operation("get", "/healthz")["responses"]


def test_a_reply_without_content_has_no_schema():
    empty = [route for route in ROUTES if route.status == 204]

    for route in empty:
        responses = operation(route.method.lower(), route.path)["responses"]
        assert responses["204"] == {"description": "success"}
