"""Methods whose calls are recorded before they take effect.

So they can be replayed on another object.
"""

from collections.abc import Callable
from functools import wraps
from math import inf
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

Record = Callable[[str, tuple[Any, ...]], None]
"""Takes the name of a method and the arguments of a call."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Owner = TypeVar("Owner", bound="Recorded")


class Recorded:
    """A class with `recorded` methods.

    Each of their calls is passed to `record` before it takes effect.
    """

    record: Record | None = None
    calls = 0
    """The number of calls that were recorded."""
    kept: Callable[[], float] = staticmethod(lambda: inf)
    """Returns how many of them are kept; infinite where nothing has to wait for that."""


def recorded(
    method: Callable[Concatenate[Owner, Arguments], Result],
) -> Callable[Concatenate[Owner, Arguments], Result]:
    """Makes the calls of a method recorded.

    Its arguments are given by position, not by name.
    """

    @wraps(method)
    def record_and_call(
        self: Owner, /, *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Result:
        assert not options
        if self.record is not None:
            self.calls += 1
            self.record(method.__name__, arguments)
        return method(self, *arguments, **options)

    record_and_call.is_recorded = True  # type: ignore[attr-defined]  # a mark for `argument_types`
    return record_and_call


def checked_by(
    check: Callable[Concatenate[Owner, Arguments], None],
) -> Callable[
    [Callable[Concatenate[Owner, Arguments], Result]],
    Callable[Concatenate[Owner, Arguments], Result],
]:
    """Has `check` decide on each call of a recorded method before it is recorded.

    It gets the same arguments, changes nothing, and raises where the call is refused: what
    strangers send in vain fills no record.
    """

    def checked(
        method: Callable[Concatenate[Owner, Arguments], Result],
    ) -> Callable[Concatenate[Owner, Arguments], Result]:
        @wraps(method)
        def check_and_call(
            self: Owner, /, *arguments: Arguments.args, **options: Arguments.kwargs
        ) -> Result:
            check(self, *arguments, **options)
            return method(self, *arguments, **options)

        return check_and_call

    return checked


def argument_types(owner: type[Recorded]) -> dict[str, tuple[Any, ...]]:
    """Returns the recorded methods of a class by name, with their argument types."""
    found = {}
    for name, method in vars(owner).items():
        if getattr(method, "is_recorded", False):
            hints = get_type_hints(method)
            hints.pop("return", None)
            found[name] = tuple(hints.values())
    return found
