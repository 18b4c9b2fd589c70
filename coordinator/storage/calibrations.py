"""The file of calibrations, beside the run directories."""

from pathlib import Path

import msgspec

from coordinator.run.calibration import Calibration, Calibrations
from loadgen.errors import OperatorError
from loadgen.wire import from_wire

FILE = "calibration.json"
"""Its name in the directory of --out."""


def read_calibrations(out: Path) -> Calibrations:
    """Returns the calibrations in a directory; none where it has no such file.

    Raises OperatorError when the file is damaged or can't be read.
    """
    path = out / FILE
    try:
        return from_wire(path.read_bytes(), Calibrations)
    except FileNotFoundError:
        return Calibrations()
    except OSError as error:
        raise OperatorError(
            f"{path} can't be read ({error.strerror}); make it readable, or give another --out"
        ) from error
    except msgspec.DecodeError as error:
        raise OperatorError(
            f"{path} is damaged: {error}; delete it, and calibrate again with --calibrate"
        ) from error


def keep_calibration(out: Path, calibration: Calibration) -> Path:
    """Writes a calibration in the place of an older one of its fleet.

    Returns the path of the file.

    Raises OperatorError when the file is damaged or can't be written.
    """
    path, half = out / FILE, out / f".{FILE}.new"
    kept = read_calibrations(out).with_(calibration)
    try:
        half.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
        half.replace(path)
    except OSError as error:
        raise OperatorError(
            f"{path} can't be written ({error.strerror}); give another --out"
        ) from error
    return path
