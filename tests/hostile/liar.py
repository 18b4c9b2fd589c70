"""An agent that says what a trial wants, and holds no connection."""

import json
import time
from typing import Any

from loadgen.machine.limits import Limit
from loadgen.plan.shares import Share
from loadgen.wire import WIRE, Hello, Post, to_wire
from tests.hostile.arena import Arena
from tests.processes import PATIENCE


class Liar:
    """An agent with the token, which joined."""

    def __init__(
        self,
        arena: Arena,
        name: str = "liar",
        capacity: int = 64_000,
        limits: tuple[Limit, ...] = (),
        machine: dict[str, Any] | None = None,
    ) -> None:
        self._arena = arena
        hello = Hello(name, WIRE, "1", capacity, limits, machine or {})
        status, body = arena.ask("/v1/agents", to_wire(hello))
        assert status == 200, f"the liar may not join: {status} {body!r}"
        self.id = str(json.loads(body)["id"])

    @property
    def public_id(self) -> str:
        """Its id without the secret."""
        return self.id.partition(".")[0]

    def post(self, post: Post) -> tuple[int, dict[str, Any]]:
        """Returns status and body of the answer to a post."""
        status, body = self._arena.ask(f"/v1/agents/{self.id}/seconds", to_wire(post))
        return status, json.loads(body)

    def gets_share(self, total: int) -> int:
        """Reports to be ready until it has a share; returns how many connections that is."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status, orders = self.post(Post(ready=True))
            assert status == 200, orders
            if orders.get("start"):
                share = orders["start"]["share"]
                return Share(share.get("length", 1), tuple(share.get("positions", (0,)))).count(
                    total
                )
            time.sleep(0.3)
        raise AssertionError("the liar got no share")
