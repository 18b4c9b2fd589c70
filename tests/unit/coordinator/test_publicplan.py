"""What everybody may see of a plan holds no secrets of it."""

from coordinator.publicplan import public_plan
from loadgen.plan import Plan, Transport
from loadgen.planfile import to_toml


def test_the_public_plan_names_headers_and_files_and_tells_nothing_of_them():
    plan = Plan(transport=Transport(headers={"Authorization": "Basic c2VjcmV0"}), files={"users": "me;secret\n"})
    shown = to_toml(public_plan(plan)).decode()

    assert "Authorization" in shown
    assert "users" in shown
    assert "c2VjcmV0" not in shown
    assert "secret" not in shown
