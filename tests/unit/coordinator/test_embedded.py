"""The mode of the embedded target, and where it can listen."""

import pytest

from coordinator.embedded import AUTO, check_embedded, target_mode
from coordinator.preflight import TargetAddress, check_target
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import PythonSession
from loadgen.values import TARGET_MODES

APPWRITE = "ws://127.0.0.1:9505/v1/realtime?project=console&channels[]=files"
NEAR = TargetAddress("localhost", 80, False, ("127.0.0.1",))


def plan(url=APPWRITE, **fields):
    return Plan(target=url, **fields)


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        (APPWRITE, "appwrite"),
        ("ws://127.0.0.1:9505/v1/realtime", "echo"),
        ("ws://127.0.0.1:9505/v1/realtime?project=", "echo"),
        ("ws://127.0.0.1:9505/socket?project=console", "echo"),
    ],
)
def test_the_mode_follows_from_the_url(url, mode):
    assert target_mode(AUTO, plan(url)) == mode


def test_sessions_in_python_get_an_echo():
    session = PythonSession(name="chat", file="chat.py", source="")

    assert target_mode(AUTO, plan(sessions=(session,))) == "echo"


@pytest.mark.parametrize("asked", [*TARGET_MODES, None])
def test_what_is_asked_for_is_kept(asked):
    assert target_mode(asked, plan()) == asked


def test_it_listens_on_loopback_without_tls():
    check_embedded("echo", plan(), [NEAR, TargetAddress("127.0.0.1", 80, False, ("127.0.0.1",))])
    other = TargetAddress("localhost", 81, False, ("127.0.0.1",))
    with pytest.raises(PlanError, match="localhost:80, localhost:81; start loadgen-target there"):
        check_embedded("echo", plan(), [NEAR, other])
    for target in (
        check_target("ws+unix:///run/app.sock"),
        TargetAddress("h", 443, True, ("127.0.0.1",)),
        TargetAddress("h", 80, False, ("192.0.2.1",)),
    ):
        with pytest.raises(PlanError):
            check_embedded("echo", plan(), [target])


def test_a_path_that_the_mode_does_not_serve_is_an_error_with_the_fix():
    check_embedded("appwrite", plan(), [NEAR])
    check_embedded("echo", plan("ws://localhost/chat"), [NEAR])
    with pytest.raises(PlanError, match=r"TARGET's path is /chat; .* or --with-target=echo"):
        check_embedded("appwrite", plan("ws://localhost/chat"), [NEAR])
