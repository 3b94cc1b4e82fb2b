"""What the sidecars cost that meshkit does without: the same client and server, through two Envoys and directly."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report import Row, at_least, figure
from benchmarks.rounds import Load, Run, rounds
from benchmarks.stack import p50, rate, ratios

_DIRECT, _PROXIED = "meshkit", "meshkit through two Envoys"


def rows(quick: bool) -> list[Row]:
    """Calls a second and the median call, with 64 and with 1 in flight."""
    return [*_busy(quick, 2 if quick else 5), *_alone(quick, 2 if quick else 5)]


def _busy(quick: bool, count: int) -> Iterator[Row]:
    name = "sidecars, 64 in flight"
    fast, slow = (6_000, 2_000) if quick else (40_000, 6_000)
    results = rounds(
        {
            _DIRECT: Run("meshkit", Load(in_flight=64, calls=fast)),
            _PROXIED: Run("meshkit", Load(in_flight=64, calls=slow), proxies=True),
        },
        count,
    )
    yield from (figure(f"{name}: {label}", rate(results, label), "calls/s") for label in results)
    yield at_least(f"{name}: without / with", ratios(rate(results, _DIRECT), rate(results, _PROXIED)), "x", 10)
    yield from (figure(f"{name}, p50: {label}", p50(results, label), "us") for label in results)
    yield at_least(f"{name}, p50: with / without", ratios(p50(results, _PROXIED), p50(results, _DIRECT)), "x", 10)


def _alone(quick: bool, count: int) -> Iterator[Row]:
    name = "sidecars, 1 in flight, p50"
    load = Load(calls=1_000 if quick else 4_000)
    results = rounds({_DIRECT: Run("meshkit", load), _PROXIED: Run("meshkit", load, proxies=True)}, count)
    yield from (figure(f"{name}: {label}", p50(results, label), "us") for label in results)
    yield at_least(f"{name}: with / without", ratios(p50(results, _PROXIED), p50(results, _DIRECT)), "x", 3.5)
