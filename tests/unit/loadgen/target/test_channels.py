"""A subscriber of a channel is found once; a removed one is not found."""

from loadgen.target.channels import Subscribers


class Listener:
    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is published here")


def test_each_subscriber_is_found_once():
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


def test_a_removed_subscriber_is_forgotten():
    subscribers = Subscribers()
    one, other = Listener(), Listener()
    for listener in (one, other):
        subscribers.add(("files",), listener)
    subscribers.remove(("files",), one)
    subscribers.remove(("files",), one)
    subscribers.remove(("teams",), one)

    assert list(subscribers.of(["files"])) == [other]


def test_a_subscriber_may_be_removed_while_others_are_iterated():
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


def test_a_connection_without_channels_is_not_kept():
    subscribers = Subscribers()
    listener = Listener()
    subscribers.add((), listener)
    subscribers.remove((), listener)

    assert list(subscribers.of([""])) == []
