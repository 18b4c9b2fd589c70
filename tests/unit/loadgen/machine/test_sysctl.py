"""Settings are set, remembered and put back, in a copy of /proc/sys."""

import pytest

from loadgen.errors import OperatorError
from loadgen.machine.sysctl import DROP_IN, STATE, Sysctls
from loadgen.machine.tuning import Setting

BACKLOG = Setting("net.core.somaxconn", "16384", "why")
PORTS = Setting("net.ipv4.ip_local_port_range", "1024 65535", "why")


class Laid:
    """A root with two sysctls."""

    def __init__(self, root):
        self.root = root
        self.sysctls = Sysctls(root)
        self.write("net.core.somaxconn", "4096\n")
        self.write("net.ipv4.ip_local_port_range", "32768\t60999\n")

    def path(self, key):
        return self.root / "proc/sys" / key.replace(".", "/")

    def write(self, key, text):
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        self.path(key).write_text(text)

    def now(self):
        return [self.sysctls.now(setting.key) for setting in (BACKLOG, PORTS)]


@pytest.fixture
def laid(tmp_path):
    return Laid(tmp_path)


def texts(steps):
    return [step.text for step in steps]


def test_settings_are_reported_and_put_back(laid):
    assert texts(laid.sysctls.apply([BACKLOG, PORTS])) == [
        "net.core.somaxconn = 16384 (was 4096)",
        "net.ipv4.ip_local_port_range = 1024 65535 (was 32768 60999)",
    ]
    assert laid.now() == ["16384", "1024 65535"]
    assert not (laid.root / DROP_IN).exists()

    assert texts(laid.sysctls.undo()) == [
        "net.ipv4.ip_local_port_range = 32768 60999 (was 1024 65535)",
        "net.core.somaxconn = 4096 (was 16384)",
    ]
    assert laid.now() == ["4096", "32768 60999"]
    assert not (laid.root / STATE).exists()


def test_without_settings_undo_is_refused(laid):
    with pytest.raises(OperatorError, match="nothing to undo"):
        laid.sysctls.undo()


def test_after_two_applies_the_first_values_come_back(laid):
    laid.sysctls.apply([BACKLOG])
    laid.sysctls.apply([Setting(BACKLOG.key, "32768", "more"), PORTS])
    laid.sysctls.undo()

    assert laid.now() == ["4096", "32768 60999"]


def test_a_value_that_others_changed_is_reported_and_kept_for_force(laid):
    laid.sysctls.apply([BACKLOG, PORTS])
    laid.write(BACKLOG.key, "8192\n")

    _, step = laid.sysctls.undo()
    assert not step.done
    assert "net.core.somaxconn is 8192, changed by others meanwhile and left so" in step.text
    assert laid.now() == ["8192", "32768 60999"]

    assert texts(laid.sysctls.undo(force=True)) == ["net.core.somaxconn = 4096 (was 8192)"]
    with pytest.raises(OperatorError, match="nothing to undo"):
        laid.sysctls.undo()


def test_a_value_that_others_set_between_two_applies_is_the_one_to_put_back(laid):
    laid.sysctls.apply([BACKLOG])
    laid.write(BACKLOG.key, "8192\n")
    laid.sysctls.apply([BACKLOG])
    laid.sysctls.undo()

    assert laid.now()[0] == "8192"


def test_after_a_reboot_old_values_are_only_reported(laid):
    laid.sysctls.apply([BACKLOG])
    laid.write(BACKLOG.key, "4096\n")

    assert texts(laid.sysctls.undo()) == ["net.core.somaxconn is 4096 again already"]


def test_a_key_that_went_with_its_module_is_only_reported(laid):
    laid.sysctls.apply([BACKLOG])
    laid.path(BACKLOG.key).unlink()

    assert texts(laid.sysctls.undo()) == [
        "net.core.somaxconn: gone from this kernel, nothing to put back"
    ]


def test_a_key_that_cannot_be_set_does_not_stop_the_others(laid, monkeypatch):
    laid.path(PORTS.key).chmod(0o444)
    monkeypatch.setattr(
        laid.sysctls, "_path", lambda key: _Full() if key == PORTS.key else laid.path(key)
    )

    first, second = laid.sysctls.apply([PORTS, BACKLOG])
    assert (first.done, second.done) == (False, True)
    assert [change.key for change in laid.sysctls.state().changes] == [BACKLOG.key]


class _Full:
    """The kernel lets not even root write the file."""

    def read_text(self):
        return "32768\t60999\n"

    def write_text(self, _):
        raise PermissionError(13, "Permission denied")


def test_a_drop_in_is_written_and_removed(laid):
    steps = laid.sysctls.apply([BACKLOG], persist=True)
    text = (laid.root / DROP_IN).read_text()

    assert steps[-1].text == f"wrote /{DROP_IN}"
    assert text.splitlines()[1:] == ["net.core.somaxconn = 16384"]
    laid.sysctls.apply([PORTS], persist=True)
    assert (laid.root / DROP_IN).read_text() == text + "net.ipv4.ip_local_port_range = 1024 65535\n"
    assert laid.sysctls.undo()[-1].text == f"removed /{DROP_IN}"
    assert not (laid.root / DROP_IN).exists()


def test_settings_in_force_can_be_made_to_persist(laid):
    assert not laid.sysctls.unwritten
    laid.sysctls.apply([BACKLOG])

    assert laid.sysctls.unwritten
    assert texts(laid.sysctls.apply([], persist=True)) == [f"wrote /{DROP_IN}"]
    assert not laid.sysctls.unwritten


def test_a_drop_in_of_others_is_never_written_over_nor_removed(laid):
    (laid.root / DROP_IN).parent.mkdir(parents=True)
    (laid.root / DROP_IN).write_text("theirs\n")
    with pytest.raises(OperatorError, match="loadgen-tune did not write it"):
        laid.sysctls.apply([BACKLOG], persist=True)
    assert laid.now()[0] == "4096"

    (laid.root / DROP_IN).unlink()
    laid.sysctls.apply([BACKLOG], persist=True)
    (laid.root / DROP_IN).write_text("theirs\n")
    assert "changed by others meanwhile and is left" in laid.sysctls.undo()[-1].text
    assert (laid.root / DROP_IN).read_text() == "theirs\n"


def test_a_malformed_state_is_reported_and_nothing_is_set(laid):
    (laid.root / STATE).parent.mkdir(parents=True)
    (laid.root / STATE).write_text("{")

    for act in (lambda: laid.sysctls.apply([BACKLOG]), laid.sysctls.undo):
        with pytest.raises(OperatorError, match="can't be read"):
            act()
    assert laid.now()[0] == "4096"
