"""Regular expressions of scripts: Python's own, refused in one line where they are none."""

import re
import warnings

from loadgen.errors import PlanError


def pattern_of(text: str) -> re.Pattern[str]:
    """The compiled expression; raises PlanError. As in PCRE, classes such as `\\d` and `\\w` are those of ASCII."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python would read in another way than PCRE, as `[[:alpha:]]`
            return re.compile(text, re.ASCII)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise PlanError(f"{text!r} is no regular expression ({error}); write it as Python's re takes it") from error
