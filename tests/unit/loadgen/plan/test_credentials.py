"""PEM texts of certificates and keys, and how they are paired."""

import pytest

from loadgen.errors import PlanError
from loadgen.plan.credentials import NO_CREDENTIALS, Credentials, has_certificate, pairs_of


def block(kind, name):
    return f"-----BEGIN {kind}-----\n{name}\n-----END {kind}-----"


def cert(name):
    return block("CERTIFICATE", name)


def key(name):
    return block("PRIVATE KEY", name)


def text(*blocks):
    return "\n".join([*blocks, ""])


A, B = text(cert("a"), key("a")), text(cert("b"), key("b"))


def test_a_user_has_the_pair_at_its_number_modulo_their_count():
    credentials = Credentials(pairs=(A, B))

    assert [credentials.of_user(number) for number in (0, 1, 2, 7)] == [A, B, A, B]
    assert NO_CREDENTIALS.of_user(5) == ""


def test_no_key_is_shown_where_credentials_are_printed():
    assert repr(Credentials("ca", (A, B))) == "Credentials(2 certificates)"


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        (text(cert("a"), key("a")), (A,)),
        (text(key("a"), cert("a")), (A,)),
        (text(cert("a"), key("a"), cert("b"), key("b")), (A, B)),
        (text(key("a"), cert("a"), key("b"), cert("b")), (A, B)),
        (text(cert("a"), cert("ca"), key("a"), cert("b"), key("b")), None),
        (text(key("a"), cert("a"), cert("ca"), key("b"), cert("b")), None),
        (f"subject=a\n{cert('a')}\nBag Attributes\n{key('a')}", (A,)),
        (text(block("EC PARAMETERS", "p256"), key("a"), cert("a")), (A,)),
    ],
    ids=["one", "key first", "two", "two, keys first", "chain", "chain, key first", "words", "EC"],
)
def test_each_certificate_is_paired_with_its_key(given, pairs):
    with_chain = (text(cert("a"), cert("ca"), key("a")), B)

    assert pairs_of(given) == (pairs or with_chain)


@pytest.mark.parametrize("kind", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
def test_a_key_has_any_form(kind):
    given = text(cert("a"), block(kind, "a"))

    assert pairs_of(given) == (given,)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "it holds no certificate; give a PEM file"),
        (key("a"), "it holds no certificate; give a PEM file"),
        (cert("a"), "its certificate has no key; give the key by --target-key or `tls_key`"),
        (A + cert("b"), "certificate 2 of 2 has no key; give the key by --target-key or `tls_key`"),
        (text(key("a"), cert("a"), key("b")), "certificate 2 of 2 has not one key; give each"),
        (A + key("b"), "its certificate has not one key; give each certificate with its key"),
        (
            text(cert("a"), block("ENCRYPTED PRIVATE KEY", "a")),
            "its key is encrypted, and agents know no passphrase; decrypt it: openssl pkey -in KEY",
        ),
        (
            text(cert("a"), block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\na")),
            "its key is encrypted",
        ),
    ],
)
def test_what_is_no_pair_is_one_line(given, why):
    with pytest.raises(PlanError) as caught:
        pairs_of(given)

    assert str(caught.value).startswith(why)


def test_a_text_has_a_certificate_or_has_none():
    assert has_certificate(A)
    assert not has_certificate(key("a"))
    assert not has_certificate("-----BEGIN CERTIFICATE-----")
