"""The embedded target of `--with-target`: its mode, and where it can listen."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from coordinator.preflight import TargetAddress
from loadgen.errors import PlanError
from loadgen.plan.plan import Plan
from loadgen.values import APPWRITE_PATH

AUTO = "auto"
"""The mode that follows from the plan."""


def target_mode(asked: str | None, plan: Plan) -> str | None:
    """Returns the mode of the target for a plan; None where none is asked for.

    AUTO is appwrite for a plan of Appwrite's, and echo for all others.
    """
    if asked != AUTO:
        return asked
    return "appwrite" if plan.appwrite else "echo"


def check_embedded(mode: str, plan: Plan, targets: Sequence[TargetAddress]) -> None:
    """Raises PlanError when the target can't serve a plan where its targets are."""
    first = targets[0]
    if first.path:
        raise PlanError(
            "--with-target listens on TCP, and TARGET is a Unix socket; give a ws:// TARGET, or"
            " leave --with-target out"
        )
    if len({(target.addresses, target.port) for target in targets}) > 1:
        ports = ", ".join(f"{target.host}:{target.port}" for target in targets)
        raise PlanError(
            f"--with-target starts one target, and the plan has several: {ports}; start"
            " loadgen-target there"
        )
    if first.secure:
        raise PlanError(
            "--with-target speaks ws:// only; give a ws:// TARGET, or leave --with-target out"
        )
    if not first.loopback:
        raise PlanError(
            f"--with-target listens on loopback only, and TARGET is {first.host}; start"
            " loadgen-target there"
        )
    path = urlsplit(plan.urls[0]).path or "/"
    if mode == "appwrite" and path != APPWRITE_PATH:
        raise PlanError(
            f"--with-target=appwrite serves {APPWRITE_PATH} alone, and TARGET's path is {path};"
            " give that path, or --with-target=echo"
        )
