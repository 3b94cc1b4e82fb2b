"""Whole stacks: calls a second and latency, beside grpc.aio and grpclib, and the floor of a bare socket."""

from __future__ import annotations

from statistics import median

from benchmarks.report import Row, at_least, at_most
from benchmarks.rounds import Load, rounds

PEERS = ("grpc.aio", "grpclib")


def rows(quick: bool) -> list[Row]:
    """Unary calls with 64 and with 1 in flight, server streaming, bidirectional ping-pong, 1 MiB echo."""
    count = 2 if quick else 5
    return [*_busy(quick, count), *_alone(quick, count), *_streams(quick, count), *_large(quick, count)]


def _busy(quick: bool, count: int) -> list[Row]:
    fast, slow = (6_000, 2_000) if quick else (40_000, 6_000)
    loads = {"meshkit": Load(in_flight=64, calls=fast)} | {peer: Load(in_flight=64, calls=slow) for peer in PEERS}
    rate = {stack: median(run.rate for run in runs) for stack, runs in rounds(loads, count).items()}
    shown = [Row(f"unary, 64 in flight: {stack}", value, "calls/s") for stack, value in rate.items()]
    return shown + [
        at_least(f"unary, 64 in flight: meshkit / {peer}", rate["meshkit"] / rate[peer], "x", 10) for peer in PEERS
    ]


def _alone(quick: bool, count: int) -> list[Row]:
    calls = 1_000 if quick else 4_000
    loads = {stack: Load(calls=calls) for stack in ("meshkit", "raw", *PEERS)}
    p50 = {stack: median(run.p50 for run in runs) for stack, runs in rounds(loads, count).items()}
    shown = [Row(f"unary, 1 in flight, p50: {stack}", value, "us") for stack, value in p50.items()]
    return [*shown, at_most("unary, 1 in flight, p50: meshkit / raw echo", p50["meshkit"] / p50["raw"], "x", 2)]


def _streams(quick: bool, count: int) -> list[Row]:
    found: list[Row] = []
    for shape, size in (("stream", 2_000), ("chat", 500)):
        calls = 3 if quick else 10
        loads = {stack: Load(shape, 1, calls, size) for stack in ("meshkit", "grpc.aio")}
        rate = {stack: median(run.rate for run in runs) * size for stack, runs in rounds(loads, count).items()}
        found += [Row(f"{shape}: {stack}", value, "messages/s") for stack, value in rate.items()]
        found.append(at_least(f"{shape}: meshkit / grpc.aio", rate["meshkit"] / rate["grpc.aio"], "x", 8))
    return found


def _large(quick: bool, count: int) -> list[Row]:
    load = Load("unary", 4, 40 if quick else 200, 1 << 20)
    results = rounds(dict.fromkeys(("meshkit", "grpc.aio"), load), count)
    rate = {stack: median(run.rate for run in runs) for stack, runs in results.items()}
    shown = [Row(f"1 MiB unary echo: {stack}", value, "MB/s") for stack, value in rate.items()]
    return [*shown, at_least("1 MiB unary echo: meshkit / grpc.aio", rate["meshkit"] / rate["grpc.aio"], "x", 1)]
