"""What the wire and the sockets alone cost: unary echo on `meshkit.net`, no rpc layer, one process at each end.

``python -m benchmarks.net_echo [--calls N] [--loop uvloop|asyncio] [--profile client|server]``
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.report import Row, at_least, machine
from meshkit.net import ClientConnection, Outcome, Pool, Server, ServerOptions, ServerStream

_PATH = b"/bench.Echo/Echo"


class _Reply:
    """A server's sink: answers with the request."""

    __slots__ = ("stream",)

    def __init__(self, stream: ServerStream) -> None:
        self.stream = stream

    def on_message(self, data: bytes) -> None:
        self.stream.reply(data)
        self.stream.release()

    def on_unary(self, data: bytes) -> None:
        self.on_message(data)

    def on_half_close(self) -> None: ...
    def on_cancel(self, reason: str) -> None:
        self.stream.release()

    def on_writable(self) -> None: ...


def _accept(stream: ServerStream) -> None:
    stream.sink = _Reply(stream)


class _Call:
    """A client's sink: one future for the end."""

    __slots__ = ("ended",)

    def __init__(self, ended: asyncio.Future[Outcome]) -> None:
        self.ended = ended

    def on_headers(self, fields: Any) -> None: ...
    def on_message(self, data: bytes) -> None: ...
    def on_deadline(self) -> None: ...
    def on_writable(self) -> None: ...
    def on_unary(self, fields: Any, data: bytes, outcome: Outcome) -> None:
        self.on_end(outcome)

    def on_end(self, outcome: Outcome) -> None:
        if not self.ended.done():
            self.ended.set_result(outcome)


async def _caller(connection: ClientConnection, calls: int, message: bytes) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(calls):
        ended = loop.create_future()
        connection.open(_PATH, (), _Call(ended), message=message, end=True)
        outcome = await ended
        assert outcome.status == 0, outcome


async def _serve() -> None:
    server = Server(_accept, options=ServerOptions())
    print(await server.listen(), flush=True)
    await asyncio.Event().wait()


async def _measure(port: int, in_flight: int, calls: int) -> tuple[float, float, float]:
    """Calls per second, and microseconds per call: on the clock, and of this process's CPU."""
    pool = Pool(f"127.0.0.1:{port}")
    connection = await pool.connect()
    each = calls // in_flight
    await _caller(connection, 200, b"x" * 20)
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_caller(connection, each, b"x" * 20) for _ in range(in_flight)))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    await pool.close()
    done = each * in_flight
    return done / seconds, seconds / each * 1e6, cpu / done * 1e6


def _run(main: Callable[[], Awaitable[Any]], loop: str) -> Any:
    if loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_coroutine(main))
    return asyncio.run(_coroutine(main))


async def _coroutine(main: Callable[[], Awaitable[Any]]) -> Any:
    return await main()


@contextmanager
def _server(loop: str, profile: bool) -> Iterator[tuple[int, int]]:
    words = [sys.executable, "-m", "benchmarks.net_echo", "--serve", "--loop", loop]
    process = subprocess.Popen(
        [*words, *(["--profile", "server"] if profile else [])], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        out, _ = process.communicate()
        print(out, end="")


def _cpu(pid: int) -> float:
    """Microseconds of CPU that a process has used (proc(5): utime and stime)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") * 1e6


@contextmanager
def _profiled(on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(32)


def main() -> None:
    """Run the client, or with ``--serve`` the server that it starts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.net_echo", description=__doc__)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--loop", default="uvloop", choices=("uvloop", "asyncio"))
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--profile", choices=("client", "server"))
    words = parser.parse_args()
    if words.serve:
        with _profiled(words.profile == "server"), suppress(KeyboardInterrupt):
            _run(_serve_until_told, words.loop)
        return
    rows: list[Row] = []
    with _server(words.loop, words.profile == "server") as (port, pid):
        for in_flight in (1, 64):
            with _profiled(words.profile == "client" and in_flight == 64):
                calls = words.calls if in_flight > 1 else words.calls // 8
                before = _cpu(pid)
                rate, each, cpu = _run(lambda n=in_flight, c=calls: _measure(port, n, c), words.loop)
            rows.append(Row(f"net echo, {in_flight} in flight: latency", each, "us"))
            rows.append(Row(f"net echo, {in_flight} in flight: client CPU a call", cpu, "us"))
            rows.append(Row(f"net echo, {in_flight} in flight: server CPU a call", (_cpu(pid) - before) / calls, "us"))
            name = f"net echo, {in_flight} in flight"
            rows.append(at_least(name, rate, "calls/s", 40_000) if in_flight == 64 else Row(name, rate, "calls/s"))
    print(machine())
    for row in rows:
        print(f"{row.name:45} {row.value:12,.1f} {row.unit:8} {row.goal}")


async def _serve_until_told() -> None:
    import signal

    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    serving = asyncio.ensure_future(_serve())
    await told.wait()
    serving.cancel()


if __name__ == "__main__":
    main()
