"""TLS towards the target, as the plan's transport says it."""

import ssl

import pytest

from loadgen.errors import PlanError
from loadgen.net.tls import context_of
from loadgen.plan.plan import Transport


def test_certificates_are_verified_unless_the_plan_says_otherwise():
    usual, insecure = context_of(Transport()), context_of(Transport(tls_verify=False))

    assert (usual.verify_mode, usual.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (insecure.verify_mode, insecure.check_hostname) == (ssl.CERT_NONE, False)


def test_without_a_server_name_the_certificates_own_name_is_not_compared():
    context = context_of(Transport(tls_server_name=False))

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_versions_are_a_range():
    context = context_of(Transport(tls_versions=("tlsv1.3", "tlsv1.2")))

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.maximum_version == ssl.TLSVersion.TLSv1_3


def test_ciphers_are_those_that_are_named():
    context = context_of(Transport(tls_ciphers="ECDHE-RSA-AES128-GCM-SHA256"))
    names = {cipher["name"] for cipher in context.get_ciphers() if "TLSv1.2" in cipher["protocol"]}

    assert names == {"ECDHE-RSA-AES128-GCM-SHA256"}


@pytest.mark.parametrize(
    ("transport", "word"),
    [
        (Transport(tls_versions=("sslv3",)), "sslv3"),
        (Transport(tls_ciphers="NO-SUCH-CIPHER"), "NO-SUCH-CIPHER"),
    ],
)
def test_what_openssl_does_not_know_is_named(transport, word):
    with pytest.raises(PlanError, match=word):
        context_of(transport)
