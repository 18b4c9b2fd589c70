"""The ends of HTTP requests, with their fault."""

import pytest

from loadgen.stats.http_ends import HTTP_FAILURES, http_fault_of, is_http_end


@pytest.mark.parametrize(
    ("kind", "end", "fault"),
    [
        ("http_replies", "200", "nobody"),
        ("http_replies", "302", "nobody"),
        ("http_replies", "404", "unknown"),
        ("http_replies", "503", "server"),
        ("http_failed", "timeout", "network"),
        ("http_failed", "refused", "server"),
        ("http_failed", "too_many_redirects", "server"),
        ("http_failed", "not_allowed", "session"),
        ("http_failed", "cancelled", "nobody"),
        ("http_failed", "drained", "nobody"),
        ("http_failed", "error_KeyError", "session"),
        ("http_failed", "eperm", "unknown"),
    ],
)
def test_each_end_has_its_fault(kind, end, fault):
    assert http_fault_of(kind, end) == fault


@pytest.mark.parametrize("reason", [*HTTP_FAILURES, "eperm", "error_ClientError"])
def test_reasons_are_ends_of_failed_requests(reason):
    assert is_http_end("http_failed", reason)


def test_only_three_digits_are_a_status():
    assert [is_http_end("http_replies", name) for name in ("200", "599", "20", "5xx", "099")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not is_http_end("http_failed", "timeuot")


def test_every_reason_says_what_it_means():
    assert all(text[0].islower() or text.startswith("TLS") for text in HTTP_FAILURES.values())
    assert not any(text.endswith(".") for text in HTTP_FAILURES.values())
