"""The seconds of a run that goes on, read back from their file."""

import resource

import pytest

from coordinator.storage.files import SecondsFile


def test_the_newest_line_of_each_second_is_read_back_in_order(tmp_path):
    file = SecondsFile(tmp_path / "seconds.ndjson")
    for second, line in ((0, b"zero\n"), (2, b"two\n"), (1, b"one\n"), (2, b"two, corrected\n")):
        file.append(second, line)

    assert list(file.since(-1)) == [b"zero", b"one", b"two, corrected"]
    assert list(file.since(2)) == [b"two, corrected"]
    file.close()
    assert list(file.since(1)) == [b"one", b"two, corrected"]


def test_a_second_that_a_full_disk_tore_is_left_out(tmp_path):
    file = SecondsFile(tmp_path / "seconds.ndjson")
    file.append(0, b"zero\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, hard))
    try:
        with pytest.raises(OSError, match="No space"):
            file.append(1, b"one\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file.append(2, b"two\n")

    assert list(file.since(0)) == [b"zero", b"two"]
    file.close()


def test_a_file_that_was_removed_can_be_read_as_long_as_it_is_written(tmp_path):
    path = tmp_path / "seconds.ndjson"
    file = SecondsFile(path)
    file.append(0, b"zero\n")
    path.unlink()
    file.append(1, b"one\n")

    assert list(file.since(0)) == [b"zero", b"one"]
    file.close()
