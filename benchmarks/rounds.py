"""Rounds: every stack in turn, several times over, so that a machine whose speed drifts is fair to all."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmarks import cores, process
from benchmarks.peers import grpc_go
from benchmarks.proxies import envoys
from benchmarks.stacks.load import Figures

_PYTHON = [sys.executable, "-W", "ignore", "-m", "benchmarks.stacks"]
_REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Load:
    """What each stack is given: the shape, calls in flight, how many calls, and the message's size (or count)."""

    shape: str = "unary"
    in_flight: int = 1
    calls: int = 1000
    size: int = 20


@dataclass(frozen=True, slots=True)
class Run:
    """Which stack is measured, and how: a server process and, in each round, a client process with ``load``.

    ``loop``: "uvloop" or "asyncio", at both ends.  ``tls``: a folder that `benchmarks.tls` made; "" is plaintext.
    ``proxies``: two Envoys on the way.  ``site``: a folder with another meshkit than the repository's.
    ``pinned``: each end on a core of its own, see `benchmarks.cores`.
    """

    stack: str
    load: Load
    loop: str = "uvloop"
    tls: str = ""
    proxies: bool = False
    site: str = ""
    pinned: bool = False


class Serving(NamedTuple):
    """A server process: its port on 127.0.0.1, and its id."""

    port: int
    pid: int


@contextmanager
def serving(run: Run) -> Iterator[Serving]:
    """The server of ``run`` in a process of its own, ended afterwards."""
    words = _words(run, "serve")
    with cores.on(cores.SERVER, run.pinned):
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=_environment(run))
    try:
        assert server.stdout is not None
        if not (said := server.stdout.readline()):
            raise RuntimeError(f"the server of {run.stack} ended before it listened; run it alone: {shlex.join(words)}")
        yield Serving(int(said), server.pid)
    finally:
        server.kill()
        server.communicate()


@contextmanager
def server(stack: str) -> Iterator[int]:
    """A server of ``stack`` as it comes; gives its port."""
    with serving(Run(stack, Load())) as found:
        yield found.port


def client(run: Run, port: int) -> Figures:
    """One client process against ``port``, from start to end."""
    load = run.load
    words = [*_words(run, "client"), "--port", str(port), "--in-flight", str(load.in_flight)]
    words += ["--calls", str(load.calls), "--size", str(load.size)]
    with cores.on(cores.CLIENT, run.pinned):
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=120, env=_environment(run))
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def _words(run: Run, role: str) -> list[str]:
    if run.stack == "grpc-go":
        return [str(grpc_go()), role]
    words = [*_PYTHON, role, run.stack, "--loop", run.loop, "--shape", run.load.shape]
    return [*words, "--tls", run.tls] if run.tls else words


def _environment(run: Run) -> dict[str, str] | None:
    if not run.site:
        return None
    return os.environ | {"PYTHONPATH": f"{run.site}{os.pathsep}{_REPOSITORY}", "PYTHONSAFEPATH": "1"}


def rounds(runs: Mapping[str, Run], count: int) -> dict[str, list[Figures]]:
    """``count`` interleaved rounds of all ``runs``, by label, servers kept up throughout."""
    results: dict[str, list[Figures]] = {label: [] for label in runs}
    with ExitStack() as up:
        servers = {label: _reached(run, up) for label, run in runs.items()}
        for _ in range(count):
            for label, run in runs.items():
                results[label].append(_round(run, servers[label]))
    return results


def _reached(run: Run, up: ExitStack) -> Serving:
    """The server of ``run``, at the port that leads to it."""
    server = up.enter_context(serving(run))
    return server._replace(port=up.enter_context(envoys(server.port))) if run.proxies else server


def _round(run: Run, server: Serving) -> Figures:
    if not process.KNOWN:
        return client(run, server.port)
    before = process.cpu(server.pid)
    found = client(run, server.port)
    return replace(found, served=(process.cpu(server.pid) - before) / found.made * 1e6)
