"""Where a URL of the plan leads from this machine."""

from collections.abc import Sequence

import msgspec

from loadgen.errors import PlanError
from loadgen.permit import Permit
from loadgen.sources import source_for
from loadgen.target_url import TargetUrl
from loadgen.wire import Destination, Sources


class Place(msgspec.Struct, frozen=True):
    """A URL with its parts, the address that its host has, and those of this machine to come from."""

    url: str
    parts: TargetUrl
    address: str
    sources: tuple[str, ...]

    @classmethod
    def find(cls, url: str, sources: Sequence[str]) -> "Place":
        """Asks the resolver, and the kernel where no sources are given.

        Raises PlanError when the URL is none, its host has no address, or there is no way from here to it.
        """
        parts = TargetUrl.parse(url)
        address = parts.resolve()
        fitting = tuple(source for source in sources if (":" in source) == (":" in address))
        if sources and not fitting:
            raise PlanError(f"target {url} is {address}: none of the agent's --source addresses is of that family")
        return cls(url, parts, address, fitting or (source_for(address),))

    def refusal(self, permit: Permit) -> str:
        """Why this agent will not load it; empty when it will."""
        return permit.refusal(self.parts.host, self.address)

    def destination(self, sources: Sources) -> Destination:
        """What a worker has to know of it."""
        parts = self.parts
        return Destination(
            url=self.url,
            address=self.address,
            port=parts.port,
            name=parts.host,
            host=parts.host_header,
            resource=parts.resource,
            secure=parts.secure,
            sources=sources,
        )
