"""The URLs of proxies, and what of them is shown."""

import pytest

from loadgen.errors import PlanError
from loadgen.plan.proxy import ProxyUrl


@pytest.mark.parametrize(
    ("url", "parts", "resolves"),
    [
        ("http://proxy:3128", ("http", "proxy", 3128, "", ""), True),
        ("http://u:p%40%3A@proxy:3128/", ("http", "proxy", 3128, "u", "p@:"), True),
        ("http://u@proxy:3128", ("http", "proxy", 3128, "u", ""), True),
        ("SOCKS5://10.0.0.1:1080", ("socks5", "10.0.0.1", 1080, "", ""), False),
        ("socks5h://u:p@[::1]:1080", ("socks5h", "::1", 1080, "u", "p"), True),
    ],
)
def test_a_url_has_its_parts(url, parts, resolves):
    proxy = ProxyUrl.parse(url)

    assert proxy == ProxyUrl(*parts)
    assert proxy.resolves == resolves


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is ''; write http://HOST:PORT"),
        ("proxy", "is 'proxy'; write"),
        ("proxy:3128", "scheme is none of http, socks5, socks5h"),
        ("https://proxy:3128", "scheme is none of"),
        ("socks4://proxy:1080", "scheme is none of"),
        ("http://proxy", "without a port; write"),
        ("http://proxy:0", "without a port"),
        ("http://:3128", "without a host"),
        ("http://proxy:70000", "no URL (Port out of range"),
        ("http://u:s3cr3t@proxy:many", "no URL; write"),
        ("http://[::1:3128", "no URL"),
        ("http://proxy:3128/path", "something after the port"),
        ("http://proxy:3128?a=b", "something after the port"),
        ("http://pro xy:3128", "blank or control character"),
        ("http://proxy:3128\r\nX: y", "blank or control character"),
        ("http://:s3cr3t@proxy:3128", "no user"),
        ("http://u%3Av:s3cr3t@proxy:3128", "its user has a colon"),
        ("socks5://u@proxy:1080", "1 to 255 bytes"),
        (f"socks5://u:s3cr3t{'x' * 250}@proxy:1080", "1 to 255 bytes"),
    ],
)
def test_any_other_text_is_one_line_that_shows_no_password(url, words):
    with pytest.raises(PlanError) as caught:
        ProxyUrl.parse(url)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy:3128/", "http://proxy:3128"),
        ("http://user:s3cr3t@proxy:3128", "http://***:***@proxy:3128"),
        ("socks5h://user:s3cr3t@[::1]:1080", "socks5h://***:***@[::1]:1080"),
    ],
)
def test_what_is_shown_has_no_credentials_and_is_a_url_itself(url, shown):
    assert ProxyUrl.parse(url).shown == shown
    assert ProxyUrl.parse(shown).shown == shown
