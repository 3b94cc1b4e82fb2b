"""Whole stacks: calls a second and latency, beside grpc.aio, grpclib and grpc-go, and the floor of a bare socket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.peers import grpc_go_lacks
from benchmarks.report import Row, absent, at_least, at_most, figure
from benchmarks.rounds import Load, Run, rounds
from benchmarks.stacks.load import Figures, idle_cost

PYTHON_PEERS = ("grpc.aio", "grpclib")
_PLAIN = "meshkit, plain asyncio"

Results = Mapping[str, Sequence[Figures]]


def rows(quick: bool) -> list[Row]:
    """Small unary calls with 64 and with 1 in flight, and 1 MiB echo."""
    count = 2 if quick else 5
    return [*_busy(quick, count), *_alone(quick, count), *_large(quick, count), _driver()]


def rate(results: Results, label: str) -> list[float]:
    """Calls a second of each round."""
    return [run.rate for run in results[label]]


def p50(results: Results, label: str) -> list[float]:
    """The median call of each round, in microseconds."""
    return [run.p50 for run in results[label]]


def ratios(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    """Round by round, so that a machine that slows down for a while slows both."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def _busy(quick: bool, count: int) -> Iterator[Row]:
    name = "unary, 64 in flight"
    fast, slow = (6_000, 2_000) if quick else (40_000, 6_000)
    runs = {"meshkit": Run("meshkit", Load(in_flight=64, calls=fast))}
    runs |= {peer: Run(peer, Load(in_flight=64, calls=slow)) for peer in PYTHON_PEERS}
    runs |= {peer: Run(peer, Load(in_flight=64, calls=fast)) for peer in _go()}
    runs[_PLAIN] = Run("meshkit", Load(in_flight=64, calls=fast), loop="asyncio")
    results = rounds(runs, count)
    yield from (figure(f"{name}: {label}", rate(results, label), "calls/s") for label in runs)
    goals = dict.fromkeys(PYTHON_PEERS, 10.0) | {"grpc-go": 1.5}
    for peer, goal in goals.items():
        title = f"{name}: meshkit / {peer}"
        if peer in runs:
            yield at_least(title, ratios(rate(results, "meshkit"), rate(results, peer)), "x", goal)
        else:
            yield absent(title, grpc_go_lacks(), f">= {goal:g}")
    yield from _costs(name, results)
    yield from _apart(runs, count)


def _alone(quick: bool, count: int) -> Iterator[Row]:
    name = "unary, 1 in flight, p50"
    load = Load(calls=1_000 if quick else 4_000)
    runs = {label: Run(label, load) for label in ("meshkit", "raw echo", *PYTHON_PEERS, *_go())}
    runs[_PLAIN] = Run("meshkit", load, loop="asyncio")
    results = rounds(runs, count)
    yield from (figure(f"{name}: {label}", p50(results, label), "us") for label in runs)
    ours = p50(results, "meshkit")
    yield at_most(f"{name}: meshkit / raw echo", ratios(ours, p50(results, "raw echo")), "x", 2)
    if "grpc-go" in runs:
        yield at_most(f"{name}: meshkit / grpc-go", ratios(ours, p50(results, "grpc-go")), "x", 1.2)
    else:
        yield absent(f"{name}: meshkit / grpc-go", grpc_go_lacks(), "<= 1.2")
    yield from _alone_apart(runs, count)


def _alone_apart(runs: Mapping[str, Run], count: int) -> Iterator[Row]:
    name = "unary, 1 in flight, p50, a core for each end"
    stacks = [label for label in ("meshkit", "raw echo", "grpc-go") if label in runs]
    results = rounds({label: replace(runs[label], pinned=True) for label in stacks}, count)
    yield from (figure(f"{name}: {label}", p50(results, label), "us") for label in results)
    for peer in stacks[1:]:
        yield figure(f"{name}: meshkit / {peer}", ratios(p50(results, "meshkit"), p50(results, peer)), "x")


def _apart(runs: Mapping[str, Run], count: int) -> Iterator[Row]:
    """The same with a core for each end."""
    name = "unary, 64 in flight, a core for each end"
    stacks = [label for label in ("meshkit", "grpc.aio", "grpc-go") if label in runs]
    results = rounds({label: replace(runs[label], pinned=True) for label in stacks}, count)
    yield from (figure(f"{name}: {label}", rate(results, label), "calls/s") for label in results)
    for peer in stacks[1:]:
        yield figure(f"{name}: meshkit / {peer}", ratios(rate(results, "meshkit"), rate(results, peer)), "x")


def _costs(name: str, results: Results) -> Iterator[Row]:
    """CPU at each end, which a busy machine distorts less than it does time."""
    for label, found in results.items():
        yield figure(f"{name}, client CPU: {label}", [run.cpu for run in found], "us/call")
    for label, found in results.items():
        if served := [run.served for run in found if run.served is not None]:
            yield figure(f"{name}, server CPU: {label}", served, "us/call")


def _go() -> tuple[str, ...]:
    return () if grpc_go_lacks() else ("grpc-go",)


def _large(quick: bool, count: int) -> Iterator[Row]:
    name = "unary echo of 1 MiB, 4 in flight"
    load = Load("unary", 4, 40 if quick else 200, 1 << 20)
    results = rounds({stack: Run(stack, load) for stack in ("meshkit", "grpc.aio")}, count)
    yield from (figure(f"{name}: {label}", rate(results, label), "MiB/s") for label in results)
    yield at_least(f"{name}: meshkit / grpc.aio", ratios(rate(results, "meshkit"), rate(results, "grpc.aio")), "x", 1)


def _driver() -> Row:
    note = "what the load generator itself costs a call of any Python stack"
    return figure("the generator, 64 in flight", [idle_cost(64) for _ in range(5)], "us CPU/call", note)
