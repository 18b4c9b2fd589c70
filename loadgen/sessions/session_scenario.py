"""The scenario of users with a session in Python, or with a script."""

from collections.abc import Callable, Sequence

from loadgen.net.route import Route
from loadgen.sessions.population import Population
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.user import Session, User


class SessionScenario(Scenario):
    """Users of a session in Python, or of a script; the wheel wakes each by itself."""

    def __init__(
        self,
        population: Population,
        start: float,
        route_of: Callable[[int], Route],
        session: Session,
        *,
        name: str,
        seed: int,
        agent: str,
        routes: Sequence[Route],
        read_rate: float = 0.0,
    ) -> None:
        """`start` is seconds on the monotonic clock; `routes` are the plan's targets.

        `read_rate` is in bytes a second; 0: no limit.
        """
        super().__init__(
            population,
            start,
            route_of,
            name=name,
            seed=seed,
            agent=agent,
            routes=routes,
            read_rate=read_rate,
        )
        self._session = session
        self.user_kind: Callable[[Scenario, int, float], User] = User
        """Makes its users, from scenario, number and due time; a trace has another kind."""

    def start_user(self, number: int, due: float) -> None:
        """Starts the session of a user that has arrived; `due` is monotonic."""
        user = self.user_kind(self, number, due)
        if self.has_row(user):
            user.start(self._session)
