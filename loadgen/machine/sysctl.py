"""Sets kernel settings, remembers the old values, and puts exactly those back.

A state file has the changes; it is written before the first value is set, and survives a reboot.
With `persist` a drop-in makes the settings survive too (sysctl.d(5)). Every path is below a root,
so that a test has its own.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from loadgen.errors import OperatorError
from loadgen.machine.tuning import Setting

STATE = Path("var/lib/loadgen/tune.json")
DROP_IN = Path("etc/sysctl.d/90-loadgen.conf")


class SysctlChange(msgspec.Struct, frozen=True):
    """One key as it was before the first `apply`, and as it was set last."""

    key: str
    old: str
    new: str


class SysctlState(msgspec.Struct, frozen=True):
    """The changes of `apply` that `undo` has to put back."""

    changes: tuple[SysctlChange, ...] = ()
    drop_in: str | None = None
    """The text of the drop-in that was written; None without one."""


class Outcome(msgspec.Struct, frozen=True):
    """The outcome for one key or file, as one line for people.

    `done` is False where it was not set or not put back.
    """

    text: str
    done: bool = True


class Sysctls:
    """The kernel settings below a root, `/` for this machine's own."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def now(self, key: str) -> str:
        """Returns a key's value, its words separated by one space; raises OSError."""
        return _words(self._path(key).read_text())

    def obstacle(self, keys: Iterable[str]) -> str:
        """Returns why none of these keys can be set here, in one line; "" where some can."""
        paths = [self._path(key) for key in keys]
        if not paths or any(os.access(path, os.W_OK) for path in paths):
            return ""
        if os.statvfs(paths[0]).f_flag & os.ST_RDONLY:
            return "/proc/sys is read-only here, as in a container: run this on the host"
        return "this user may not write /proc/sys: run this as root, with sudo"

    def apply(self, settings: Sequence[Setting], *, persist: bool = False) -> list[Outcome]:
        """Sets the settings in their order.

        With `persist` writes all set so far to a drop-in.

        Returns what was done. Raises OperatorError when it may not write the state or the drop-in.
        """
        before = self.state()
        if persist and before.drop_in is None and (self._root / DROP_IN).exists():
            raise OperatorError(
                f"/{DROP_IN} exists, and loadgen-tune did not write it; move it away"
            )
        known = {change.key: change for change in before.changes}
        planned = {
            setting.key: self._change(known.get(setting.key), setting) for setting in settings
        }
        self._save(SysctlState(tuple((known | planned).values()), before.drop_in))
        steps = {key: self._set(key, change.new) for key, change in planned.items()}
        done = known | {
            key: self._as_set(change) for key, change in planned.items() if steps[key].done
        }
        text = _drop_in(done.values()) if persist and done else before.drop_in
        self._save(SysctlState(tuple(done.values()), text))
        return [*steps.values(), *self._write_drop_in(before.drop_in, text)]

    def undo(self, *, force: bool = False) -> list[Outcome]:
        """Puts back what `apply` found, last first; returns what was done.

        A value that others changed since stays, unless `force`. Raises OperatorError when `apply`
        has set nothing.
        """
        state = self.state()
        if state == SysctlState():
            raise OperatorError(
                f"nothing to undo: /{STATE} has nothing that loadgen-tune apply has set"
            )
        left: list[SysctlChange] = []
        steps: list[Outcome] = []
        for change in reversed(state.changes):
            step = self._put_back(change, force=force)
            steps.append(step)
            left += [] if step.done else [change]
        text = state.drop_in
        if text is not None:
            step = self._remove_drop_in(text, force=force)
            steps.append(step)
            text = None if step.done else text
        self._save(SysctlState(tuple(reversed(left)), text))
        return steps

    @property
    def unwritten(self) -> bool:
        """True when a setting is in force that no drop-in sets again after a reboot."""
        state = self.state()
        return bool(state.changes) and state.drop_in != _drop_in(state.changes)

    def state(self) -> SysctlState:
        """Returns what is remembered, an empty state where that is nothing.

        Raises OperatorError when the state file can't be read.
        """
        path = self._root / STATE
        try:
            return msgspec.json.decode(path.read_bytes(), type=SysctlState)
        except FileNotFoundError:
            return SysctlState()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OperatorError(
                f"/{STATE} can't be read ({error}); it says what to put back, so repair it first"
            ) from error

    def _change(self, known: SysctlChange | None, setting: Setting) -> SysctlChange:
        """Returns the change from the value to put back to the new one.

        That is the value before the first `apply`, unless others have changed the key since.
        """
        now = self.now(setting.key)
        return SysctlChange(
            setting.key, known.old if known is not None and known.new == now else now, setting.value
        )

    def _put_back(self, change: SysctlChange, *, force: bool) -> Outcome:
        try:
            now = self.now(change.key)
        except FileNotFoundError:  # its module was unloaded
            return Outcome(f"{change.key}: gone from this kernel, nothing to put back")
        if now == change.old:
            return Outcome(f"{change.key} is {now} again already")
        if now != change.new and not force:
            mine = f"loadgen-tune had set {change.new} where {change.old} was"
            return Outcome(
                f"{change.key} is {now}, changed by others meanwhile and left so: {mine} (--force)",
                done=False,
            )
        return self._set(change.key, change.old)

    def _set(self, key: str, value: str) -> Outcome:
        try:
            was = self.now(key)
            self._path(key).write_text(f"{value}\n")
            now = self.now(key)
        except OSError as error:
            return Outcome(f"{key}: can't be set to {value} here ({error.strerror})", done=False)
        return Outcome(
            f"{key} = {now} (was {was})"
            + ("" if now == value else f"; this kernel made that of {value}")
        )

    def _as_set(self, change: SysctlChange) -> SysctlChange:
        """Returns the change with the value in force; the kernel may have rounded it."""
        return msgspec.structs.replace(change, new=self.now(change.key))

    def _write_drop_in(self, before: str | None, text: str | None) -> list[Outcome]:
        if text is None or text == before:
            return []
        path = self._root / DROP_IN
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            return [Outcome(f"/{DROP_IN} can't be written ({error.strerror})", done=False)]
        return [Outcome(f"wrote /{DROP_IN}")]

    def _remove_drop_in(self, text: str, *, force: bool) -> Outcome:
        path = self._root / DROP_IN
        try:
            if path.read_text() != text and not force:
                return Outcome(
                    f"/{DROP_IN} was changed by others meanwhile and is left (--force)", done=False
                )
            path.unlink()
        except FileNotFoundError:
            return Outcome(f"/{DROP_IN} is gone already")
        except OSError as error:
            return Outcome(f"/{DROP_IN} can't be removed ({error.strerror})", done=False)
        return Outcome(f"removed /{DROP_IN}")

    def _save(self, state: SysctlState) -> None:
        path = self._root / STATE
        try:
            if state == SysctlState():
                path.unlink(missing_ok=True)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
            fresh.replace(path)
        except OSError as error:
            raise OperatorError(
                f"/{STATE} can't be written ({error.strerror}); run this as root, with sudo"
            ) from error

    def _path(self, key: str) -> Path:
        return self._root / "proc/sys" / key.replace(".", "/")


def _drop_in(changes: Iterable[SysctlChange]) -> str:
    head = "# Written by loadgen-tune apply --persist; loadgen-tune undo removes it.\n"
    return head + "".join(f"{change.key} = {change.new}\n" for change in changes)


def _words(text: str) -> str:
    return " ".join(text.split())
