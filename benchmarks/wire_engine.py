"""The wire engine alone: unary calls between two engines in memory, no sockets, both ends in one count.

CPU time, not wall-clock; the best of several runs, as other work on the machine only ever adds. Calls of functions are
counted by cProfile: a number that no machine changes.

``python -m benchmarks.wire_engine [--quick] [--profile]``
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections.abc import Callable
from time import process_time

from benchmarks.report import Row, at_least, at_most, machine, table
from meshkit.wire import Connection, Limits, Message, Role, Trailers, UnaryRequests, UnaryResponses

__all__ = ["calls_per_rpc", "main", "rows", "unary"]

_GOAL_US = 10.0
_GOAL_CALLS = 37
_REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/helloworld.v1.Greeter/SayHello"),
    (b":authority", b"greeter.default.svc.cluster.local:50051"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python-meshkit/0.1.0"),
    (b"grpc-accept-encoding", b"identity,deflate,gzip"),
)
_HEADERS = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_TRAILERS = ((b"grpc-status", b"0"),)


def unary(client: Connection, server: Connection, in_flight: int, message: bytes) -> None:
    """One turn of both ends: ``in_flight`` calls, their replies, and whatever the engines say besides."""
    for _ in range(in_flight):
        client.open_unary(_REQUEST, message)
    for event in server.receive(client.take_output(), 0.0):
        if type(event) is UnaryRequests:
            for stream, _, data in event.calls:
                server.send_unary(stream, _HEADERS, data, _TRAILERS)
        elif type(event) is Message:  # the first calls come event by event
            server.send_unary(event.stream, _HEADERS, event.data, _TRAILERS)
    ended = 0
    for event in client.receive(server.take_output(), 0.0):
        ended += len(event.calls) if type(event) is UnaryResponses else type(event) is Trailers
    assert ended == in_flight
    server.receive(client.take_output(), 0.0)


def pair(limits: Limits | None = None) -> tuple[Connection, Connection]:
    """Two engines that have exchanged their SETTINGS."""
    limits = limits or Limits()
    client, server = Connection(Role.CLIENT, limits), Connection(Role.SERVER, limits)
    for _ in range(2):
        server.receive(client.take_output(), 0.0)
        client.receive(server.take_output(), 0.0)
    return client, server


def calls_per_rpc(in_flight: int = 64) -> float:
    """Python and C calls that one unary RPC takes, both ends together."""
    client, server = pair()
    unary(client, server, in_flight, b"x" * 20)
    profile = cProfile.Profile()
    profile.enable()
    unary(client, server, in_flight, b"x" * 20)
    profile.disable()
    return sum(entry.callcount for entry in profile.getstats()) / in_flight  # pyright: ignore


def rows(quick: bool) -> list[Row]:
    """The measurements as benchmark rows."""
    turns = 100 if quick else 500
    return [
        at_most("wire: unary, 64 in flight, both ends", _cost(_unary(64), 64, turns), "us CPU", _GOAL_US),
        Row("wire: unary, 1 in flight, both ends", _cost(_unary(1), 1, turns * 20), "us CPU"),
        at_most("wire: unary, calls of functions, both ends", calls_per_rpc(), "", _GOAL_CALLS),
        at_least("wire: 8 MiB messages", 8 / _cost(_large(8 << 20), 1, 3) * 1e6, "MiB/s", 500),
    ]


def _cost(turn: Callable[[], object], calls: int, turns: int) -> float:
    """Microseconds of CPU per call: the best of seven runs."""
    best = float("inf")
    for _ in range(7):
        started = process_time()
        for _ in range(turns):
            turn()
        best = min(best, process_time() - started)
    return best / turns / calls * 1e6


def _unary(in_flight: int) -> Callable[[], object]:
    client, server = pair()
    return lambda: unary(client, server, in_flight, b"x" * 20)


def _large(size: int) -> Callable[[], object]:
    """One message of ``size`` bytes from client to server, through windows much smaller than it."""
    client, server = pair(Limits(max_receive_message=size))
    message = b"x" * size

    def turn() -> None:
        stream = client.open_stream(_REQUEST)
        client.send_message(stream, message, end=True)
        while stream.id in client.streams:
            for event in server.receive(client.take_output(), 0.0):
                if type(event) is Message:
                    server.acknowledge(event.stream, len(event.data))
                    server.send_headers(event.stream, (*_HEADERS, *_TRAILERS), end=True)
            client.receive(server.take_output(), 0.0)

    return turn


def main() -> None:
    """Print the table; with ``--profile`` where the time goes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire_engine", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.profile:
        profile = cProfile.Profile()
        turn = _unary(64)
        profile.runcall(lambda: [turn() for _ in range(200)])
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    print(machine())
    print(table(rows(options.quick)))


if __name__ == "__main__":
    main()
