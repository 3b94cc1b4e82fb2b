"""Calls through grpcio's own xDS client, to be run as a process: ``python -m tests.support.xds_caller TARGET``.

Reads lines ``COUNT [NAME=VALUE...]`` and answers each with the JSON of how many calls each backend answered.
grpcio reads its bootstrap from the environment once, which is why this is a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

__all__ = ["XdsCaller", "grpc_bootstrap"]


def main(target: str) -> None:
    """Serve lines of stdin."""
    with grpc.insecure_channel(target) as channel:
        rpc = channel.unary_unary("/helloworld.v1.Greeter/SayHello")
        for line in sys.stdin:
            count, *pairs = line.split()
            metadata = [tuple(pair.split("=")) for pair in pairs]
            counts = Counter(rpc(b"", timeout=10, metadata=metadata).decode() for _ in range(int(count)))
            print(json.dumps(counts), flush=True)


def grpc_bootstrap(ads_port: int) -> str:
    """The bootstrap of gRPC's own xDS clients, as Istio's agent writes it."""
    server = {
        "server_uri": f"127.0.0.1:{ads_port}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    node = {
        "id": "sidecar~127.0.0.1~caller.demo~demo.svc.cluster.local",
        "metadata": {"GENERATOR": "grpc", "NAMESPACE": "demo", "INSTANCE_IPS": "127.0.0.1"},
    }
    return json.dumps({"xds_servers": [server], "node": node})


class XdsCaller:
    """``async with XdsCaller("xds:///host:port", ads_port) as caller: await caller.shares(100, user="admin")``."""

    def __init__(self, target: str, ads_port: int) -> None:
        self._target = target
        self._bootstrap = grpc_bootstrap(ads_port)
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": self._bootstrap, "GRPC_VERBOSITY": "NONE"}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.xds_caller", self._target),
            cwd=Path(__file__).parents[2],
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def shares(self, count: int, **metadata: str) -> Counter[str]:
        """How many of so many calls each backend answered."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        pairs = " ".join(f"{name}={value}" for name, value in metadata.items())
        process.stdin.write(f"{count} {pairs}\n".encode())
        line = await asyncio.wait_for(process.stdout.readline(), 20)
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
