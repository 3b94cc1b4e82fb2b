"""What a client process costs: CPU to its first reply, and its memory, beside those of grpclib and grpcio."""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from benchmarks.report import Row, at_most
from benchmarks.rounds import server

_CLIENT = """
import asyncio, json, resource, sys
from {module} import Client

async def main():
    client = Client(int(sys.argv[1]))
    await client.unary("Ada")()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]), flush=True)
    await client.close()

asyncio.run(main())
"""
_MODULES = {
    "meshkit": "benchmarks.stacks.meshkit_stack",
    "grpclib": "benchmarks.stacks.grpclib_stack",
    "grpc.aio": "benchmarks.stacks.grpc_aio",
}


def rows(quick: bool) -> list[Row]:
    """CPU seconds and megabytes of each stack's client; the medians of several processes."""
    found: list[Row] = []
    for stack, module in _MODULES.items():
        with server(stack) as port:
            runs = [_run(module, port) for _ in range(3 if quick else 7)]
        cpu, memory = median(run[0] for run in runs), median(run[1] for run in runs)
        if stack == "meshkit":
            found += [
                at_most("client process, CPU to the first reply: meshkit", cpu, "s", 0.3),
                at_most("client process, RSS: meshkit", memory, "MB", 45),
            ]
        else:
            found += [
                Row(f"client process, CPU to the first reply: {stack}", cpu, "s"),
                Row(f"client process, RSS: {stack}", memory, "MB"),
            ]
    return found


def _run(module: str, port: int) -> tuple[float, float]:
    words = [sys.executable, "-W", "ignore", "-c", _CLIENT.format(module=module), str(port)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    cpu, memory = json.loads(done.stdout)
    return float(cpu), float(memory)
