"""Which of an interface's providers take which calls, where they registered with Dubbo's group and version.

A call says which pair it wants in two headers (`meshkit.rpc.dubbo`). Where providers of different pairs are at
different places, routes look at those headers. A call whose pair nobody has goes to servers all the same: their
UNIMPLEMENTED names what there is, which no route could.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from .making import make
from .world import Provider

__all__ = ["shares"]

_HEADERS = ("tri-service-group", "tri-service-version")
_Pair = tuple[str, str]


def shares(providers: Sequence[Provider]) -> Iterator[tuple[list[HeaderMatcher], tuple[Provider, ...]]]:
    """Conditions on headers, and who takes the calls that meet them and none before; the last have no conditions."""
    by_pair: defaultdict[_Pair, list[Provider]] = defaultdict(list)
    for one in providers:
        by_pair[one.group, one.version].append(one)
    places = {frozenset((one.host, one.port) for one in group) for group in by_pair.values()}
    if len(places) > 1:
        for pair in sorted(by_pair, key=_strictest_first):
            if any(pair):
                yield _conditions(pair), _merged(by_pair[pair])
    yield [], _merged(by_pair.get(("", ""), providers) if len(places) > 1 else providers)


def _strictest_first(pair: _Pair) -> tuple[int, _Pair]:
    return pair.count(""), pair


def _conditions(pair: _Pair) -> list[HeaderMatcher]:
    return [
        make(HeaderMatcher, name=name, string_match=make(StringMatcher, exact=value))
        for name, value in zip(_HEADERS, pair, strict=True)
        if value
    ]


def _merged(providers: Sequence[Provider]) -> tuple[Provider, ...]:
    """Each place once, whatever the pairs: a process that provides two is still one process."""
    found: dict[tuple[str, int], int] = {}
    for one in providers:
        place = one.host, one.port
        found[place] = max(found.get(place, 0), one.count)
    return tuple(Provider(host, port, count) for (host, port), count in sorted(found.items()))
