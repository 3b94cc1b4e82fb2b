"""Streams: one message after another to a client that reads them, and ping-pong, where each waits for its answer."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report import Row, at_least, figure
from benchmarks.rounds import Load, Run, rounds
from benchmarks.stack import rate, ratios

_GOAL = 8.0
_STREAM, _CHAT = 2_000, 500  # messages of one call


def rows(quick: bool) -> list[Row]:
    """Messages a second that the client has read: a chat's message is there and back, so it is one turn."""
    count, calls = (2, 3) if quick else (5, 10)
    turns = 20 if quick else 100
    return [
        *_compared("server streaming, 1 call", Load("stream", 1, calls, _STREAM), count),
        *_compared("ping-pong, 1 chat", Load("chat", 1, calls, _CHAT), count),
        *_compared("ping-pong, 64 chats at once", Load("chat", 64, 128, turns), count),
    ]


def _compared(name: str, load: Load, count: int) -> Iterator[Row]:
    results = rounds({stack: Run(stack, load) for stack in ("meshkit", "grpc.aio")}, count)
    found = {stack: [one * load.size for one in rate(results, stack)] for stack in results}
    yield from (figure(f"{name}: {stack}", values, "messages/s") for stack, values in found.items())
    yield at_least(f"{name}: meshkit / grpc.aio", ratios(found["meshkit"], found["grpc.aio"]), "x", _GOAL)
