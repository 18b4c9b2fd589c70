"""Whoever hears a channel is found once; whoever left is not."""

from loadgen.target.channels import Subscribers


class Listener:
    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is published here")


def test_finds_each_once():
    subscribers = Subscribers()
    files, both, teams = Listener(), Listener(), Listener()
    subscribers.add(("files",), files)
    subscribers.add(("files", "teams"), both)
    subscribers.add(("teams",), teams)

    assert set(subscribers.of(["files"])) == {files, both}
    assert sorted(map(id, subscribers.of(["teams", "files", "files"]))) == sorted(
        map(id, [files, both, teams])
    )
    assert list(subscribers.of(["none"])) == []
    assert list(subscribers.of([])) == []


def test_forgets():
    subscribers = Subscribers()
    one, other = Listener(), Listener()
    for listener in (one, other):
        subscribers.add(("files",), listener)
    subscribers.remove(("files",), one)
    subscribers.remove(("files",), one)
    subscribers.remove(("teams",), one)

    assert list(subscribers.of(["files"])) == [other]


def test_may_lose_someone_while_it_is_walked():
    subscribers = Subscribers()
    listeners = [Listener() for _ in range(3)]
    for listener in listeners:
        subscribers.add(("files",), listener)

    found = []
    for listener in subscribers.of(["files"]):
        subscribers.remove(("files",), listener)
        found.append(listener)

    assert set(found) == set(listeners)
    assert list(subscribers.of(["files"])) == []


def test_does_not_keep_those_who_hear_nothing():
    subscribers = Subscribers()
    listener = Listener()
    subscribers.add((), listener)
    subscribers.remove((), listener)

    assert list(subscribers.of([""])) == []
