"""The optional build, whose pure rooms mypyc has compiled, beside the pure one: ``MESHKIT_COMPILE=1 pip install .``"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, figure
from benchmarks.rounds import Load, Run, rounds
from benchmarks.stack import p50, rate, ratios
from tests.support.compiled import compiled_site

_PURE, _COMPILED = "meshkit", "meshkit, compiled"


def rows(quick: bool) -> list[Row]:
    """Small unary calls, with 64 and with 1 in flight; both ends pure, and both compiled."""
    with tempfile.TemporaryDirectory() as folder:
        return list(_compared(str(compiled_site(Path(folder))), quick))


def _compared(site: str, quick: bool) -> Iterator[Row]:
    busy = Load(in_flight=64, calls=6_000 if quick else 40_000)
    alone = Load(calls=1_000 if quick else 4_000)
    count = 2 if quick else 5

    results = rounds({_PURE: Run("meshkit", busy), _COMPILED: Run("meshkit", busy, site=site)}, count)
    name = "optional build, 64 in flight"
    yield from (figure(f"{name}: {label}", rate(results, label), "calls/s") for label in results)
    yield figure(f"{name}: compiled / pure", ratios(rate(results, _COMPILED), rate(results, _PURE)), "x")

    results = rounds({_PURE: Run("meshkit", alone), _COMPILED: Run("meshkit", alone, site=site)}, count)
    name = "optional build, 1 in flight, p50"
    yield from (figure(f"{name}: {label}", p50(results, label), "us") for label in results)
    yield figure(f"{name}: compiled / pure", ratios(p50(results, _COMPILED), p50(results, _PURE)), "x")
