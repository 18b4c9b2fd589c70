"""The version is one that a package may have."""

from packaging.version import Version

from loadgen.version import VERSION


def test_the_version_is_written_in_its_normal_form():
    assert str(Version(VERSION)) == VERSION
