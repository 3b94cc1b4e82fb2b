"""One end of one stack in a process of its own: ``python -m benchmarks.stacks serve|client STACK ...``."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.stacks.load import Figures, drive

MODULES = {
    "meshkit": "benchmarks.stacks.meshkit_stack",
    "grpc.aio": "benchmarks.stacks.grpc_aio",
    "grpclib": "benchmarks.stacks.grpclib_stack",
    "grpclib's API on meshkit": "benchmarks.stacks.compat",
    "raw echo": "benchmarks.stacks.raw",
}


async def _unary(client: Any, options: argparse.Namespace) -> Figures:
    return await drive(client.unary("x" * options.size), options.in_flight, options.calls)


async def _stream(client: Any, options: argparse.Namespace) -> Figures:
    return await drive(lambda: client.stream(options.size), options.in_flight, options.calls)


async def _chat(client: Any, options: argparse.Namespace) -> Figures:
    return await drive(lambda: client.chat(options.size), options.in_flight, options.calls)


SHAPES = {"unary": _unary, "stream": _stream, "chat": _chat}


async def _client(options: argparse.Namespace) -> None:
    client = importlib.import_module(MODULES[options.stack]).Client(options.port, **_secured(options))
    figures = await SHAPES[options.shape](client, options)
    await client.close()
    print(json.dumps(asdict(figures)), flush=True)


async def _serve(options: argparse.Namespace) -> None:
    serve = importlib.import_module(MODULES[options.stack]).serve
    await serve(lambda port: print(port, flush=True), **_secured(options))


def _secured(options: argparse.Namespace) -> dict[str, Path]:
    return {"tls": options.tls} if options.tls else {}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["serve", "client"])
    parser.add_argument("stack", choices=MODULES)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--shape", choices=SHAPES, default="unary")
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--tls", type=Path, help="a folder with ca.pem, cert.pem and key.pem")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    return parser.parse_args()


def main() -> None:
    options = _options()
    work = _serve(options) if options.role == "serve" else _client(options)
    if options.loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    sys.exit(main())
