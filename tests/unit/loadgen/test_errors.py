"""The errors that an operator can fix are one printable line."""

import pytest

from loadgen.errors import FleetError, OperatorError, PlanError


@pytest.mark.parametrize("kind", [OperatorError, PlanError, FleetError])
def test_an_error_is_one_printable_line_with_any_quotation(kind):
    assert (
        str(kind("no file 'a\nb\x1b[2J\r\u202e': give  another"))
        == "no file 'a b [2J ': give another"
    )


def test_errors_that_were_found_at_once_are_printable_lines_too():
    assert OperatorError("one").further == ()
    assert PlanError("one", ["two\n  lines\x1b"]).further == ("two lines",)
