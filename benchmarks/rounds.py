"""Rounds: every stack in turn, several times over, so that a machine whose speed drifts is fair to all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.stacks.load import Figures

_RUN = [sys.executable, "-W", "ignore", "-m", "benchmarks.stacks"]


@dataclass(frozen=True, slots=True)
class Load:
    """What each stack is given: the shape, calls in flight, how many calls, and the message's size (or count)."""

    shape: str = "unary"
    in_flight: int = 1
    calls: int = 1000
    size: int = 20


@contextmanager
def server(stack: str, loop: str = "uvloop") -> Iterator[int]:
    """A server of ``stack`` in a process of its own; gives its port and ends it afterwards."""
    process = subprocess.Popen([*_RUN, "serve", stack, "--loop", loop], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def client(stack: str, port: int, load: Load, loop: str = "uvloop") -> Figures:
    """One run of a client process against ``port``."""
    words = ["--shape", load.shape, "--in-flight", str(load.in_flight), "--calls", str(load.calls)]
    words += ["--size", str(load.size), "--port", str(port), "--loop", loop]
    done = subprocess.run([*_RUN, "client", stack, *words], stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def rounds(loads: dict[str, Load], count: int) -> dict[str, list[Figures]]:
    """``count`` interleaved rounds of each stack's load, servers kept up throughout."""
    results: dict[str, list[Figures]] = {stack: [] for stack in loads}
    with ExitStack() as up:
        ports = {stack: up.enter_context(server(stack)) for stack in loads}
        for _ in range(count):
            for stack, load in loads.items():
                results[stack].append(client(stack, ports[stack], load))
    return results
