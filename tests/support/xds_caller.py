"""Calls through gRPC's own xDS clients, each a process of its own: grpcio here, grpc-go and grpc-js under tests/peers.

They all speak the same lines: a JSON object ``{"count": N, "path": "/a.B/C", "metadata": {...}}`` asks for so many
unary calls, and is answered with a JSON object of how often each backend answered; a call that failed counts under the
name of its status. They read their bootstrap from the environment once, which is why they are processes.
``python -m tests.support.xds_caller TARGET`` is grpcio's.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

__all__ = ["GRPCIO", "SAY_HELLO", "XdsCaller", "grpc_bootstrap"]

GRPCIO = (sys.executable, "-m", "tests.support.xds_caller")
SAY_HELLO = "/helloworld.v1.Greeter/SayHello"
_TIMEOUT = 30.0


def main(target: str) -> None:
    """Serve lines of stdin with grpcio."""
    with grpc.insecure_channel(target) as channel:
        for line in sys.stdin:
            wanted = json.loads(line)
            rpc = channel.unary_unary(wanted["path"])
            metadata = list(wanted["metadata"].items())
            counts = Counter(_answer(rpc, metadata) for _ in range(wanted["count"]))
            print(json.dumps(counts), flush=True)


def _answer(rpc: Any, metadata: list[tuple[str, str]]) -> str:
    try:
        return str(rpc(b"", timeout=_TIMEOUT, metadata=metadata).decode())
    except grpc.RpcError as error:
        return str(error.code().name)  # type: ignore[attr-defined]  # every error of a call has a code


def grpc_bootstrap(ads_port: int, host: str = "127.0.0.1") -> str:
    """The bootstrap of gRPC's own xDS clients, as Istio's agent writes it."""
    server = {
        "server_uri": f"{host}:{ads_port}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    node = {
        "id": "sidecar~127.0.0.1~caller.demo~demo.svc.cluster.local",
        "locality": {},  # grpc-js insists
        "metadata": {"GENERATOR": "grpc", "NAMESPACE": "demo", "INSTANCE_IPS": "127.0.0.1"},
    }
    return json.dumps({"xds_servers": [server], "node": node})


class XdsCaller:
    """``async with XdsCaller("xds:///host:port", ads_port) as caller: await caller.shares(100, user="admin")``.

    ``program`` is the command to which the target is given."""

    def __init__(self, target: str, ads_port: int, program: tuple[str | Path, ...] = GRPCIO) -> None:
        self._command = (*program, target)
        self._bootstrap = grpc_bootstrap(ads_port)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        quiet = {"GRPC_VERBOSITY": "NONE", "GRPC_GO_LOG_SEVERITY_LEVEL": "fatal"}
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=Path(__file__).parents[2],
            env={**os.environ, **quiet, "GRPC_XDS_BOOTSTRAP_CONFIG": self._bootstrap},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def shares(self, count: int, path: str = SAY_HELLO, **metadata: str) -> Counter[str]:
        """How many of so many calls each backend answered, or how many ended with which status."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        wanted = {"count": count, "path": path, "metadata": metadata}
        process.stdin.write(json.dumps(wanted).encode() + b"\n")
        line = await asyncio.wait_for(process.stdout.readline(), 240)
        return Counter(json.loads(line))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    main(sys.argv[1])
