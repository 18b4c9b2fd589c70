"""What is said to a run from outside can be written down before it takes effect, and be said
again to another run."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

Record = Callable[[str, tuple[Any, ...]], None]
"""Takes a word, the name of a method, and its arguments."""
Words = ParamSpec("Words")
Answer = TypeVar("Answer")
Listener = TypeVar("Listener", bound="Recorded")


class Recorded:
    """Has methods that are `recorded`; `record` is told of each call before it takes effect."""

    record: Record | None = None


def recorded(
    method: Callable[Concatenate[Listener, Words], Answer],
) -> Callable[Concatenate[Listener, Words], Answer]:
    """A method by which the world outside changes something. Its arguments are given by place,
    not by name."""

    @wraps(method)
    def hear(self: Listener, /, *arguments: Words.args, **options: Words.kwargs) -> Answer:
        assert not options
        if self.record is not None:
            self.record(method.__name__, arguments)
        return method(self, *arguments, **options)

    hear.is_heard = True  # type: ignore[attr-defined]  # a mark for `kinds_of`
    return hear


def kinds_of(listener: type[Recorded]) -> dict[str, tuple[Any, ...]]:
    """The words that a class hears, each with the types of its arguments."""
    found = {}
    for name, method in vars(listener).items():
        if getattr(method, "is_heard", False):
            hints = get_type_hints(method)
            hints.pop("return", None)
            found[name] = tuple(hints.values())
    return found
