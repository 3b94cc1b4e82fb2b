"""A virtual host compiled for lookup: the first route that fits wins (gRFC A28, "Route matching").

What depends only on the path is worked out once per path and remembered; a call then looks at the few routes of its
own path, however many there are for others. Conditions that can be answered now (pseudo-headers, fractions of 100 %,
query parameters, which gRPC paths never have) are answered now.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random as uniform

from meshkit.xds.resources import HeaderMatch, Route, RouteAction, VirtualHost

from .decision import Decision
from .headers import CallHeaders, Condition, ValueTest, compile_value_test, fixed_headers, on_metadata
from .paths import PathIndex

__all__ = ["RouteTable"]

# Paths remembered per table. A client's paths are its methods; the bound is for callers who make paths up.
_REMEMBERED = 4096
_MILLION = 1_000_000


class RouteTable:
    """The routes of one virtual host. ``authority`` is what calls send as ``:authority`` (None: unknown, treated as
    absent); ``random`` gives numbers in [0, 1)."""

    def __init__(
        self, virtual_host: VirtualHost, *, authority: str | None = None, random: Callable[[], float] = uniform
    ) -> None:
        self.virtual_host = virtual_host
        self._fixed = fixed_headers(authority)
        self._random = random
        self._routes: list[_CompiledRoute] = []
        self._index = PathIndex()
        self._remembered: dict[str, tuple[_CompiledRoute, ...]] = {}
        for route in virtual_host.routes:
            self._add(route)

    def __repr__(self) -> str:
        usable, given = len(self._routes), len(self.virtual_host.routes)
        return f"RouteTable({self.virtual_host.name!r}, {usable} of {given} routes usable)"

    def select(self, path: str, headers: CallHeaders = None) -> Decision | None:
        """The decision of the first route that fits a call to ``path`` (``/package.Service/Method``) with this
        metadata; None where no route fits, which fails a call with UNAVAILABLE (gRFC A28)."""
        routes = self._remembered.get(path)
        if routes is None:
            routes = self._remember(path)
        for route in routes:
            for condition in route.conditions:
                if not condition(headers):
                    break
            else:
                return route.decision
        return None

    def always(self, path: str) -> Decision | None:
        """The decision of every call to ``path``, whatever its metadata; None where that makes a difference."""
        routes = self._remembered.get(path) or self._remember(path)
        return routes[0].decision if routes and not routes[0].conditions else None

    def _remember(self, path: str) -> tuple[_CompiledRoute, ...]:
        if len(self._remembered) >= _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        routes = self._remembered[path] = tuple(self._candidates(path))
        return routes

    def _candidates(self, path: str) -> list[_CompiledRoute]:
        """The routes that calls to ``path`` can take, up to the first that takes them all."""
        found: list[_CompiledRoute] = []
        for number in self._index.find(path):
            route = self._routes[number]
            if all(test(path) for test in route.path_tests):
                found.append(route)
                if not route.conditions:
                    break
        return found

    def _add(self, route: Route) -> None:
        compiled = self._compile(route)
        if compiled is not None:
            self._index.add(len(self._routes), route.path)
            self._routes.append(compiled)

    def _compile(self, route: Route) -> _CompiledRoute | None:
        """None for a route that no call can take."""
        if route.query or _leads_nowhere(route):
            return None
        compiled = _CompiledRoute(Decision(route, self.virtual_host.retry, self._random))
        if not all(self._add_header(compiled, match) for match in route.headers):
            return None
        self._add_fraction(compiled, route)
        return compiled

    def _add_header(self, route: _CompiledRoute, match: HeaderMatch) -> bool:
        """Make ``route`` ask for ``match``; False if that can never be met."""
        name, test = match.name, compile_value_test(match)
        if name == ":path":
            route.path_tests.append(test)
        elif name in self._fixed:
            return test(self._fixed[name])
        elif name.startswith(":") or name.endswith("-bin"):
            return test(None)
        else:
            route.conditions.append(on_metadata(name, test))
        return True

    def _add_fraction(self, route: _CompiledRoute, source: Route) -> None:
        """The condition of a runtime fraction, after all others, so that it is drawn only where it decides."""
        if source.fraction is None or source.fraction.numerator >= _MILLION:
            return
        random, share = self._random, source.fraction.numerator / _MILLION
        route.conditions.append(lambda headers: random() < share)


class _CompiledRoute:
    """A decision and what stands before it: tests of the path, made once per path, and conditions, met call by call."""

    __slots__ = ("conditions", "decision", "path_tests")

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.path_tests: list[ValueTest] = []
        self.conditions: list[Condition] = []


def _leads_nowhere(route: Route) -> bool:
    """A cluster specifier that is not known leaves no clusters: the route is passed over (gRFC A28)."""
    return isinstance(route.action, RouteAction) and not route.action.clusters
