"""Which routes a path can take: exact paths from a dict, prefixes and patterns in turn (gRFC A28, "Path matching")."""

from __future__ import annotations

from meshkit.xds.resources import PathMatch, StringMatch

from .text import TextTest, compile_text

__all__ = ["PathIndex"]


class PathIndex:
    """Numbers filed under path matchers; `find` gives those that fit a path, ascending."""

    def __init__(self) -> None:
        self._exact: dict[str, list[int]] = {}
        self._exact_lower: dict[str, list[int]] = {}
        self._tests: list[tuple[int, TextTest]] = []

    def add(self, number: int, match: PathMatch) -> None:
        """File ``number`` under ``match``."""
        if match.kind is not StringMatch.EXACT:
            self._tests.append((number, _compile(match)))
        elif match.case_sensitive:
            self._exact.setdefault(match.value, []).append(number)
        else:
            self._exact_lower.setdefault(match.value.lower(), []).append(number)

    def find(self, path: str) -> list[int]:
        """The numbers of all matchers that fit ``path``."""
        found = [number for number, test in self._tests if test(path)]
        found += self._exact.get(path, ())
        if self._exact_lower:
            found += self._exact_lower.get(path.lower(), ())
        found.sort()
        return found


def _compile(match: PathMatch) -> TextTest:
    if match.separated:
        return _separated(match.value, match.case_sensitive)
    return compile_text(match.kind, match.value, match.regex, not match.case_sensitive)


def _separated(prefix: str, case_sensitive: bool) -> TextTest:
    """route.v3.RouteMatch.path_separated_prefix: ``/a`` fits ``/a`` and ``/a/b``, not ``/ab``."""
    whole = compile_text(StringMatch.EXACT, prefix, None, not case_sensitive)
    below = compile_text(StringMatch.PREFIX, prefix + "/", None, not case_sensitive)
    return lambda path: whole(path) or below(path)
