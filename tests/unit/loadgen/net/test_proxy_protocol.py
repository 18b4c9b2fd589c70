"""The headers of the PROXY protocol, byte by byte as its specification has them."""

import struct
from ipaddress import ip_address, ip_network

import pytest

from loadgen.net.proxy_protocol import SIGNATURE, header_of, source_of


def test_each_user_has_an_address_of_its_own():
    assert source_of(0, ipv6=False) == ("10.0.0.1", 1024)
    assert source_of(256, ipv6=False) == ("10.0.1.1", 1280)
    assert source_of(2**24 - 3, ipv6=False)[0] == "10.255.255.254"
    assert source_of(2**24 - 2, ipv6=False)[0] == "10.0.0.1"
    assert source_of(64_511, ipv6=False)[1] == 65_535
    assert source_of(64_512, ipv6=False)[1] == 1024
    assert source_of(0, ipv6=True) == ("fd00::1", 1024)
    assert source_of(2**24, ipv6=True) == ("fd00::100:1", 1024 + 2**24 % 64_512)


def test_addresses_are_private_whatever_the_number():
    for number in (0, 1, 99_999, 2**31, 10**12):
        assert ip_address(source_of(number, ipv6=False)[0]) in ip_network("10.0.0.0/8")
        assert ip_address(source_of(number, ipv6=True)[0]) in ip_network("fd00::/8")


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("192.0.2.1", b"PROXY TCP4 10.0.0.8 192.0.2.1 1031 443\r\n"),
        ("2001:db8::1", b"PROXY TCP6 fd00::8 2001:db8::1 1031 443\r\n"),
    ],
)
def test_version_1_is_a_line_of_text(address, line):
    assert header_of(1, address, 443, 7) == line


def test_version_2_is_binary():
    header = header_of(2, "192.0.2.1", 443, 7)
    assert header[:16] == SIGNATURE + b"\x21\x11\x00\x0c"
    assert struct.unpack(">4s4sHH", header[16:]) == (
        ip_address("10.0.0.8").packed,
        ip_address("192.0.2.1").packed,
        1031,
        443,
    )

    header = header_of(2, "2001:db8::1", 443, 7)
    assert header[:16] == SIGNATURE + b"\x21\x21\x00\x24"
    assert struct.unpack(">16s16sHH", header[16:]) == (
        ip_address("fd00::8").packed,
        ip_address("2001:db8::1").packed,
        1031,
        443,
    )
