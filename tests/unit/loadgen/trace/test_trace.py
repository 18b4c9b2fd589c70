"""A trace: lines with times, and the author's line."""

from loadgen.trace.trace import Trace, author_line, is_authors


def test_lines_have_times_and_those_below_are_indented():
    written = []
    trace = Trace(written.append)
    trace.line("first", "below")
    trace.lines("→", ["head", "more"])

    assert [line[12:] for line in written] == ["first", "below", "→ head", "more"]
    assert written[0].startswith("    0.0000  ")


def test_a_step_names_the_line_of_code_that_is_no_library():
    written = []
    code = compile("def step(trace):\n    trace.step('think')", "chat.py", "exec")
    names = {}
    exec(code, names)
    names["step"](Trace(written.append))

    assert written[0].endswith("think  (chat.py:2)")
    assert not is_authors(Trace.line.__code__)


def test_without_an_author_there_is_no_line(monkeypatch):
    monkeypatch.setattr("loadgen.trace.trace.is_authors", lambda code: False)

    assert author_line() == ""


def test_the_end_of_the_session_is_noted():
    trace = Trace(lambda line: None)
    trace.ended("the session failed", failed=True)

    assert trace.over
    assert trace.failed
