"""The plan as everybody may see it."""

import msgspec

from loadgen.behaviour import PythonSession
from loadgen.plan import Plan


def public_plan(plan: Plan) -> Plan:
    """The plan without the texts of sessions and data files, which are for agents alone: they may hold passwords."""
    sessions = tuple(
        msgspec.structs.replace(one, source="") if isinstance(one, PythonSession) else one for one in plan.sessions
    )
    return msgspec.structs.replace(plan, sessions=sessions, files=dict.fromkeys(plan.files, ""))
