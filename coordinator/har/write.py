"""Writes a recording as the file of a session."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from coordinator.har.recording import Recording
from coordinator.har.steps import session_of, target_of
from coordinator.text import one_line
from loadgen.errors import OperatorError

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=False,  # noqa: S701 -- it makes Python: values are quoted by `source`, words below
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def session_text(recording: Recording, name: str) -> str:
    """Returns the text of a session's file; `name` is the file's own."""
    session = session_of(recording)
    notes = []
    if session.learnt:
        notes.append(f"Taken from replies, and so each user's own: {', '.join(session.learnt)}.")
    if session.left_out:
        notes.append(f"Left out of the recording: {'; '.join(session.left_out)}.")
    return ENVIRONMENT.get_template("session.py.j2").render(
        file=_word(recording.file),
        target=_word(target_of(recording)),
        name=_word(name),
        secrets=[(variable, _word(what)) for variable, what in session.secrets],
        notes=[one_line(note, 400) for note in notes],
        lines=session.lines,
        timeout=session.timeout,
        uses_json=session.uses_json,
    )


def write_session(path: Path, recording: Recording) -> None:
    """Writes the file; raises OperatorError where that fails."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(session_text(recording, path.name))
    except FileExistsError as error:
        raise OperatorError(
            f"--write-session {path} is there already; give another name"
        ) from error
    except OSError as error:
        raise OperatorError(f"--write-session {path}: {error.strerror}") from error


def _word(text: str) -> str:
    """Returns foreign text that can't end a comment or a docstring."""
    return one_line(text, 200).replace("\\", "/").replace('"', "'")
