"""The TLS context of a plan's transport."""

import ssl

import pytest

from loadgen.errors import PlanError
from loadgen.net.tls import VERSIONS, context_of
from loadgen.plan.plan import Transport


def test_a_server_has_to_prove_its_name_unless_the_plan_says_otherwise():
    strict = context_of(Transport())
    nameless = context_of(Transport(tls_server_name=False))
    renamed = context_of(Transport(tls_server_name="rt.test"))
    trusting = context_of(Transport(tls_verify=False))

    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (nameless.verify_mode, nameless.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert (renamed.verify_mode, renamed.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_NONE, False)


def test_versions_are_the_range_from_the_lowest_to_the_highest():
    context = context_of(Transport(tls_versions=("tlsv1.3", "tlsv1.2")))

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3


def test_an_unknown_version_is_one_line_that_names_all_others():
    with pytest.raises(PlanError) as caught:
        context_of(Transport(tls_versions=("sslv2", "tlsv1.2")))
    assert str(caught.value) == f"`tls_versions`: sslv2 is none of {', '.join(VERSIONS)}"


def test_ciphers_are_those_of_the_plan():
    context = context_of(Transport(tls_ciphers="ECDHE-RSA-AES128-GCM-SHA256"))

    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert names == {"ECDHE-RSA-AES128-GCM-SHA256"}


def test_ciphers_that_openssl_does_not_have_are_one_line():
    with pytest.raises(PlanError, match="`tls_ciphers` 'no-such': OpenSSL knows none of them"):
        context_of(Transport(tls_ciphers="no-such"))
