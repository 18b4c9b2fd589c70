"""The plan as everybody may see it."""

import msgspec

from loadgen.behaviour import PythonSession
from loadgen.plan import Plan


def public_plan(plan: Plan) -> Plan:
    """The plan without what is for agents alone, since it may hold passwords: texts of sessions and files, headers."""
    sessions = tuple(
        msgspec.structs.replace(one, source="") if isinstance(one, PythonSession) else one for one in plan.sessions
    )
    transport = msgspec.structs.replace(plan.transport, headers=dict.fromkeys(plan.transport.headers, ""))
    return msgspec.structs.replace(plan, sessions=sessions, files=dict.fromkeys(plan.files, ""), transport=transport)
