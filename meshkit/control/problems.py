"""What is wrong with a configuration file, so that a person can act on it: where, what was expected, what is there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Problem", "Severity"]


class Severity(Enum):
    """What a problem does to its resource."""

    ERROR = "error"
    """The resource is not taken; its last good version stays in force."""
    UNSUPPORTED = "unsupported"
    """The resource is served without the part that is named."""
    DOUBT = "doubt"
    """The resource is served as it is, which is hardly what was meant."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about one place of one file. ``line`` counts from 1; 0 means the file as a whole."""

    file: str
    line: int
    path: str
    text: str
    resource: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (where, self.resource, self.path, self.text) if part)
