"""Messages to a service manager, over a real socket."""

import socket

import pytest

from loadgen.systemd import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_a_message_reaches_the_manager_that_asked_for_it(tmp_path, monkeypatch, abstract):
    name = f"@{tmp_path}/notify" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(5)

        notify("READY=1")

        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("name", ["", "/nowhere/notify"])
def test_without_a_manager_nothing_is_sent_and_nothing_fails(monkeypatch, name):
    monkeypatch.setenv("NOTIFY_SOCKET", name)

    notify("READY=1")
