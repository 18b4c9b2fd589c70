"""What is looked at before anything is opened: the target's URL, the port to listen on."""

import ipaddress
from collections.abc import Sequence

import msgspec

from loadgen.errors import OperatorError, PlanError
from loadgen.params import Endpoint
from loadgen.target_url import TargetUrl
from loadgen.token import Token


class Target(msgspec.Struct, frozen=True):
    """Where the target is."""

    host: str
    port: int
    secure: bool
    address: str
    """An IP address that its host resolves to."""

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine by its address."""
        return ipaddress.ip_address(self.address.partition("%")[0]).is_loopback


def check_target(url: str) -> Target:
    """The place that a ws:// or wss:// URL names; raises PlanError when it names none, or its host doesn't resolve."""
    target = TargetUrl.parse(url)
    return Target(target.host, target.port, target.secure, target.resolve())


def check_embedded(targets: Sequence[Target]) -> None:
    """Raises PlanError when the embedded target can't stand in for these."""
    target = targets[0]
    if len({(one.address, one.port) for one in targets}) > 1:
        ports = ", ".join(f"{one.host}:{one.port}" for one in targets)
        raise PlanError(
            f"--with-target starts one target, and the plan has several: {ports}; start loadgen-target there"
        )
    if target.secure:
        raise PlanError("--with-target speaks ws:// only; give a ws:// TARGET, or leave --with-target out")
    if not target.loopback:
        raise PlanError(
            f"--with-target listens on loopback only, and TARGET is {target.host}; start loadgen-target there"
        )


def check_listen(listen: Endpoint, token: Token | None) -> None:
    """Raises OperatorError when agents from elsewhere could join without a token."""
    if not listen.loopback and token is None:
        raise OperatorError(f"--listen {listen} is not loopback: anybody could join; give --token-file FILE")
