"""A plain, slow route matcher, read straight from route.v3 and gRFC A28: the yardstick for the compiled one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from meshkit.xds.resources import HeaderMatch, PathMatch, Route, RouteAction, StringMatch, VirtualHost

__all__ = ["first_route"]

Pairs = Sequence[tuple[str, str | bytes]]


def first_route(host: VirtualHost, path: str, pairs: Pairs, authority: str | None) -> Route | None:
    """The first route of ``host`` that fits; fractions must be 0 or everything, so that nothing is left to chance."""
    for route in host.routes:
        if isinstance(route.action, RouteAction) and len(route.action.clusters) == 0:
            continue
        if len(route.query) > 0 or (route.fraction is not None and route.fraction.numerator == 0):
            continue
        if not _path_fits(route.path, path):
            continue
        if all(_header_fits(match, _lookup(match.name, path, pairs, authority)) for match in route.headers):
            return route
    return None


def _path_fits(match: PathMatch, path: str) -> bool:
    wanted = match.value
    if match.kind is StringMatch.REGEX:
        return re.fullmatch(wanted, path) is not None
    if not match.case_sensitive:
        wanted, path = wanted.lower(), path.lower()
    if match.kind is StringMatch.EXACT:
        return path == wanted
    if not path.startswith(wanted):
        return False
    return not match.separated or path[len(wanted) :] == "" or path[len(wanted)] == "/"


def _lookup(name: str, path: str, pairs: Pairs, authority: str | None) -> str | None:
    if name == "content-type":
        return "application/grpc"
    if name in (":authority", "host"):
        return authority
    if name in (":method", ":scheme", ":path"):
        return {":method": "POST", ":scheme": "http", ":path": path}[name]
    if name.endswith("-bin"):
        return None
    values = [value for key, value in pairs if key == name and isinstance(value, str)]
    return ",".join(values) if values else None


def _header_fits(match: HeaderMatch, value: str | None) -> bool:
    if match.treat_missing_as_empty and value is None:
        value = ""
    if match.present is not None:
        return ((value is not None) == match.present) != match.invert
    if value is None:
        return False
    return _value_fits(match, value) != match.invert


def _value_fits(match: HeaderMatch, value: str) -> bool:
    if match.range is not None:
        if re.fullmatch("[-+]?[0-9]+", value) is None:
            return False
        return int(value) in range(*match.range)
    if match.string is StringMatch.REGEX:
        return re.fullmatch(match.value, value) is not None
    wanted = match.value
    if match.ignore_case:
        wanted, value = wanted.lower(), value.lower()
    if match.string is StringMatch.EXACT:
        return value == wanted
    if match.string is StringMatch.PREFIX:
        return value[: len(wanted)] == wanted
    if match.string is StringMatch.SUFFIX:
        return wanted == "" or value[-len(wanted) :] == wanted
    assert match.string is StringMatch.CONTAINS
    return value.find(wanted) >= 0
