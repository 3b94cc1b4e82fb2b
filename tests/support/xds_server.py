"""A grpcio server that asks an ADS server whether and how to serve: ``python -m tests.support.xds_server PORT``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

__all__ = ["XdsServer"]


class _AnyMethod(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"xds-server")


def main(port: str) -> None:
    """Serve until killed."""
    server = grpc.server(futures.ThreadPoolExecutor(2), xds=True)
    server.add_generic_rpc_handlers((_AnyMethod(),))
    plain = grpc.xds_server_credentials(grpc.insecure_server_credentials())
    server.add_secure_port(f"127.0.0.1:{port}", plain)
    server.start()
    server.wait_for_termination()


class XdsServer:
    """``async with XdsServer(port, ads_port)``: grpcio reads its bootstrap once, so it is a process of its own."""

    def __init__(self, port: int, ads_port: int) -> None:
        self._port = port
        self._bootstrap = json.dumps(
            {
                "xds_servers": [{"server_uri": f"127.0.0.1:{ads_port}", "channel_creds": [{"type": "insecure"}]}],
                "node": {
                    "id": "sidecar~127.0.0.1~server.demo~demo.svc.cluster.local",
                    "metadata": {"GENERATOR": "grpc", "NAMESPACE": "demo", "INSTANCE_IPS": "127.0.0.1"},
                },
                "server_listener_resource_name_template": "xds.istio.io/grpc/lds/inbound/%s",
            }
        )
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": self._bootstrap, "GRPC_VERBOSITY": "NONE"}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.xds_server", str(self._port)),
            cwd=Path(__file__).parents[2],
            env=environment,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()


if __name__ == "__main__":
    main(sys.argv[1])
