"""gRPC's interop cases between grpc-go's own test programs and us, in both directions."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from meshkit.rpc import Server
from tests.support.gopeers import go_binary
from tests.support.interop_cases import CASES, InteropService, play

pytestmark = pytest.mark.interop

VERSION = "v1.85.0"
Cell = Callable[[str, str], None]
every_case = pytest.mark.parametrize("case", CASES)


@asynccontextmanager
async def grpc_go_serving() -> AsyncIterator[str]:
    """grpc-go's server on a port of its choice; gives its address."""
    binary = await asyncio.to_thread(go_binary, "google.golang.org/grpc/interop/server", VERSION)
    environment = {**os.environ, "GRPC_GO_LOG_SEVERITY_LEVEL": "info"}
    process = await asyncio.create_subprocess_exec(binary, "--port", "0", stderr=-1, env=environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            while (found := re.search(rb"listening on .*:(\d+)", await process.stderr.readline())) is None:
                assert not process.stderr.at_eof(), "the server ended"
        yield f"127.0.0.1:{found[1].decode()}"
    finally:
        process.kill()
        await process.communicate()


@every_case
async def test_our_client_their_server(case: str, cell: Cell) -> None:
    cell(case, "meshkit -> grpc-go")
    async with grpc_go_serving() as address:
        await play(CASES[case], address)


@every_case
async def test_their_client_our_server(case: str, cell: Cell) -> None:
    cell(case, "grpc-go -> meshkit")
    binary = await asyncio.to_thread(go_binary, "google.golang.org/grpc/interop/client", VERSION)
    async with Server([InteropService()]) as server:
        arguments = ("--server_host=127.0.0.1", f"--server_port={await server.listen()}", f"--test_case={case}")
        process = await asyncio.create_subprocess_exec(binary, *arguments, stdout=-1, stderr=asyncio.subprocess.STDOUT)
        try:
            said, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 0, said.decode()
