"""The shared secret: read from its file, compared, and never shown."""

import pytest

from loadgen.agent.settings import AgentSettings
from loadgen.errors import OperatorError
from loadgen.http.token import Token, exposure
from loadgen.net.allowed import AllowedTargets


@pytest.fixture
def file(tmp_path):
    """A token file that only its owner can read."""
    path = tmp_path / "token"
    path.write_text(" s3cret\n")
    path.chmod(0o600)
    return path


def test_the_token_is_the_word_in_a_file_and_is_sent_as_a_bearer_token(file):
    token = Token.read(file)

    assert token is not None
    assert token.header == "Bearer s3cret"
    assert token.matches("Bearer s3cret")
    assert Token.read(None) is None


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "s3cret", "Bearer s3cret2", "bearer s3cret", "Bearer \udcff"],
)
def test_no_other_header_matches(file, header):
    token = Token.read(file)

    assert token is not None
    assert not token.matches(header)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n", "is empty"),
        (b"\xff", "can't be read"),
        (b"two words", "one line"),
        (b"a\r\nX: b", "one line"),
        ("café".encode(), "one line"),
        (b"a" * 1025, "1,024"),
    ],
)
def test_a_secret_that_can_not_be_a_header_is_refused(file, content, words):
    file.write_bytes(content)

    with pytest.raises(OperatorError, match=words):
        Token.read(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(OperatorError, match=r"none can't be read: .*No such file"):
        Token.read(tmp_path / "none")


def test_a_repr_does_not_show_the_token(file):
    token = Token.read(file)

    assert (
        "s3cret"
        not in f"{token} {token!r} {AgentSettings(allowed_targets=AllowedTargets(), token=token)!r}"
    )


@pytest.mark.parametrize(
    ("mode", "exposed"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)]
)
def test_a_file_that_others_can_read_is_a_warning_with_its_fix(file, mode, exposed):
    file.chmod(mode)
    warning = exposure("--token-file", file)

    assert bool(warning) == exposed
    assert not exposed or f"chmod 600 {file}" in warning
    assert exposure("--token-file", None) == ""


def test_a_sealed_word_is_good_for_its_purpose_and_secret_alone():
    token, other = Token("s3cret"), Token("other")
    word = token.sign("logs")

    assert token.verify("logs", word)
    assert not token.verify("metrics", word)
    assert not token.verify("logs", other.sign("logs"))
    assert not token.verify("logs", "\udcff")
    assert "s3cret" not in word
