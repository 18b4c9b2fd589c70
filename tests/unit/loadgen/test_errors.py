import pytest

from loadgen.errors import FleetError, OperatorError, PlanError


@pytest.mark.parametrize("kind", [OperatorError, PlanError, FleetError])
def test_a_mistake_is_one_printable_line_whatever_it_quotes(kind):
    assert (
        str(kind("no file 'a\nb\x1b[2J\r\u202e': give  another"))
        == "no file 'a b [2J ': give another"
    )
