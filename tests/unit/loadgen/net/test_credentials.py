"""Files of authorities, certificates and keys, and what OpenSSL says of them."""

import os
import ssl
from pathlib import Path

import pytest
import trustme

from loadgen.errors import PlanError
from loadgen.net.credentials import read_credentials, show
from loadgen.plan.credentials import NO_CREDENTIALS
from loadgen.plan.transport import Transport

AUTHORITY = trustme.CA()
CA = AUTHORITY.cert_pem.bytes().decode()
ONE, OTHER = (AUTHORITY.issue_cert(common_name=name) for name in ("one", "other"))
CERT = "".join(blob.bytes().decode() for blob in ONE.cert_chain_pems)
KEY = ONE.private_key_pem.bytes().decode()
OTHER_KEY = OTHER.private_key_pem.bytes().decode()
OTHER_PAIR = "".join(blob.bytes().decode() for blob in OTHER.cert_chain_pems) + OTHER_KEY
ENCRYPTED = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIH\n-----END ENCRYPTED PRIVATE KEY-----\n"


def transport(folder: Path, files, **keys):
    """Returns a transport whose keys name files in a folder, which are written first."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return Transport(**{key: str(folder / name) for key, name in keys.items()})


def test_without_files_there_is_nothing():
    assert read_credentials(Transport()) == NO_CREDENTIALS


def test_authorities_certificate_and_key_are_read(tmp_path):
    files = {"ca.pem": CA, "cert.pem": CERT, "key.pem": KEY}
    keys = {"tls_ca": "ca.pem", "tls_cert": "cert.pem", "tls_key": "key.pem"}

    credentials = read_credentials(transport(tmp_path, files, **keys))

    assert credentials.ca == CA
    (pair,) = credentials.pairs
    assert pair.count("BEGIN CERTIFICATE") == CERT.count("BEGIN CERTIFICATE")
    assert KEY.strip() in pair


@pytest.mark.parametrize(
    "files",
    [
        {"users.pem": CERT + KEY + OTHER_PAIR},
        {"users/1.pem": CERT + KEY, "users/2.pem": OTHER_PAIR},
        {"users/1.crt": CERT, "users/1.key": KEY, "users/2.pem": OTHER_PAIR, "users/x.txt": "-"},
    ],
    ids=["bundle", "folder", "folder with keys of their own"],
)
def test_several_certificates_are_one_for_each_user(tmp_path, files):
    path = next(iter(files)).partition("/")[0]

    first, second = read_credentials(transport(tmp_path, files, tls_cert=path)).pairs

    assert KEY.strip() in first
    assert OTHER_KEY.strip() in second


MISTAKES = {
    "no authority": ({"f": "hello"}, {"tls_ca": "f"}, "`tls_ca` F: it holds no certificate; give"),
    "key as authority": ({"f": KEY}, {"tls_ca": "f"}, "`tls_ca` F: it holds no certificate; give"),
    "broken authority": (
        {"f": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"tls_ca": "f"},
        "`tls_ca` F: OpenSSL does not take it (",
    ),
    "missing": ({}, {"tls_ca": "f"}, "`tls_ca` F: can't be read (No such file or directory); give"),
    "no key": ({"f": CERT}, {"tls_cert": "f"}, "`tls_cert` F: its certificate has no key; give"),
    "no certificate": ({"f": KEY}, {"tls_cert": "f"}, "`tls_cert` F: it holds no certificate;"),
    "encrypted": (
        {"f": CERT, "k": ENCRYPTED},
        {"tls_cert": "f", "tls_key": "k"},
        "`tls_cert` F with `tls_key` K: its key is encrypted, and agents know no passphrase;",
    ),
    "other key": (
        {"f": CERT, "k": OTHER_KEY},
        {"tls_cert": "f", "tls_key": "k"},
        "`tls_cert` F with `tls_key` K: the key does not fit the certificate (KEY_VALUES_MISMATCH)",
    ),
    "no such key": (
        {"f": CERT},
        {"tls_cert": "f", "tls_key": "k"},
        "`tls_key` K: can't be read (No such file or directory); give a PEM file",
    ),
    "certificate as key": (
        {"f": CERT, "k": CERT},
        {"tls_cert": "f", "tls_key": "k"},
        "`tls_key` K: it holds no key; give a PEM file",
    ),
    "folder with a key": (
        {"f/1.pem": CERT, "k": KEY},
        {"tls_cert": "f", "tls_key": "k"},
        "`tls_cert` F: it is a folder, whose files hold their own keys; leave `tls_key` out",
    ),
    "empty folder": (
        {"f/readme.txt": "-"},
        {"tls_cert": "f"},
        "`tls_cert` F: it has no file of a certificate (.pem, .crt, .cer, .cert, .key)",
    ),
    "one of a folder": (
        {"f/1.pem": CERT + KEY, "f/2.pem": CERT},
        {"tls_cert": "f"},
        "`tls_cert` F/2.pem: its certificate has no key; give the key",
    ),
}


@pytest.mark.parametrize(("files", "keys", "why"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path, files, keys, why):
    with pytest.raises(PlanError) as caught:
        read_credentials(transport(tmp_path, files, **keys))

    said = str(caught.value).replace(str(tmp_path / "f"), "F").replace(str(tmp_path / "k"), "K")
    assert said.startswith(why)
    assert "\n" not in said


def test_bytes_that_are_no_text_are_told(tmp_path):
    (tmp_path / "f").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(PlanError, match=r"can't be read \(it is no text\)"):
        read_credentials(Transport(tls_ca=str(tmp_path / "f")))


def test_no_descriptor_of_a_certificate_stays_open():
    before = os.listdir("/proc/self/fd")

    show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), CERT + KEY)
    with pytest.raises(ssl.SSLError):
        show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "rubbish")

    assert os.listdir("/proc/self/fd") == before
