"""What existing code gains: handlers and stubs written for grpclib, on grpclib's transport and on meshkit's."""

from __future__ import annotations

from benchmarks.report import Row, figure
from benchmarks.rounds import Load, Run, rounds
from benchmarks.stack import rate, ratios

_THEIRS, _OURS = "grpclib", "grpclib's API on meshkit"


def rows(quick: bool) -> list[Row]:
    """Small unary calls and ping-pong, with 64 in flight."""
    count, calls, turns = (2, 2_000, 20) if quick else (3, 8_000, 50)
    chats = Load("chat", 64, 128, turns)
    return [
        *_compared("existing code, unary, 64 in flight", "calls/s", Load(in_flight=64, calls=calls), 1, count),
        *_compared("existing code, ping-pong, 64 chats at once", "messages/s", chats, turns, count),
    ]


def _compared(name: str, unit: str, load: Load, messages: int, count: int) -> list[Row]:
    results = rounds({stack: Run(stack, load) for stack in (_OURS, _THEIRS)}, count)
    found = {stack: [one * messages for one in rate(results, stack)] for stack in results}
    shown = [figure(f"{name}: {stack}", values, unit) for stack, values in found.items()]
    return [*shown, figure(f"{name}: on meshkit / on grpclib", ratios(found[_OURS], found[_THEIRS]), "x")]
