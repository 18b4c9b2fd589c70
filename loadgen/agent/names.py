"""The names of a run's targets, resolved again while the run goes on."""

from collections.abc import Sequence
from functools import cache

from loadgen.agent.targets import ResolvedTarget, Resolver
from loadgen.errors import PlanError
from loadgen.net.allowed import AllowedTargets
from loadgen.net.url import resolve
from loadgen.plan.proxy import ProxyUrl


def resolve_all(
    urls: Sequence[str],
    sources: Sequence[str],
    proxy: ProxyUrl | None = None,
    addresses_of: Resolver = resolve,
) -> list[ResolvedTarget]:
    """Returns the targets of URLs, each name resolved once; raises PlanError."""
    once = cache(addresses_of)
    return [ResolvedTarget.find(url, sources, proxy, once) for url in urls]


class Names:
    """The targets of a run, and how their names change."""

    def __init__(
        self,
        targets: Sequence[ResolvedTarget],
        sources: Sequence[str],
        allowed: AllowedTargets,
        proxy: ProxyUrl | None = None,
        addresses_of: Resolver = resolve,
    ) -> None:
        self.targets = list(targets)
        self._sources = sources
        self._allowed = allowed
        self._proxy = proxy
        self._addresses_of = addresses_of
        self._said: dict[str, str] = {}
        """The last note on each host."""

    def look(self) -> list[str]:
        """Resolves all names again; returns a note on each one that has changed.

        A name that does not resolve, or has an address that may not be loaded, keeps its
        addresses. It blocks while the resolver works.
        """
        once = cache(self._addresses_of)
        notes: dict[str, None] = {}
        for place, target in enumerate(self.targets):
            if target.is_unix:
                continue
            note = self._look_at(place, target, once)
            if note and self._said.get(target.dialed) != note:
                notes[note] = None
            self._said[target.dialed] = note
        return list(notes)

    def _look_at(self, place: int, before: ResolvedTarget, addresses_of: Resolver) -> str:
        host = before.dialed
        try:
            found = ResolvedTarget.find(before.url, self._sources, self._proxy, addresses_of)
        except PlanError as error:
            return f"keeps the addresses of {host}: {error}"
        refusal = found.refusal(self._allowed)
        if refusal:
            return f"keeps the addresses of {host}: {refusal}"
        if set(found.addresses) == set(before.addresses):
            return ""  # resolvers turn the list over and over
        self.targets[place] = found
        old, new = (", ".join(target.addresses) for target in (before, found))
        return "; ".join((f"{host} is {new} now, and no longer {old}", *found.notes))
