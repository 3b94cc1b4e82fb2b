"""gRPC's interop cases between grpc-go's own test programs and us, in both directions."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from meshkit.mesh import Mesh
from meshkit.net import TlsSettings, client_context, server_context
from meshkit.rpc import Context, Server
from tests.support.gopeers import go_binary
from tests.support.interop_cases import CASES, InteropService, play
from tests.support.world import control_plane, subsets, weights, within, write_rule
from tests.support.xds_caller import grpc_bootstrap

pytestmark = pytest.mark.interop

VERSION = "v1.85.0"
Cell = Callable[[str, str], None]
every_case = pytest.mark.parametrize("case", CASES)


class Certificates(NamedTuple):
    """Files of a server on 127.0.0.1, and of who vouches for it."""

    authority: Path
    chain: Path
    key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(files.authority))
    issued.private_key_pem.write_to_path(str(files.key))
    files.chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    return files


@asynccontextmanager
async def grpc_go_serving(*options: str) -> AsyncIterator[str]:
    """grpc-go's server on a port of its choice; gives its address."""
    binary = await asyncio.to_thread(go_binary, "google.golang.org/grpc/interop/server", VERSION)
    environment = {**os.environ, "GRPC_GO_LOG_SEVERITY_LEVEL": "info"}
    process = await asyncio.create_subprocess_exec(binary, "--port=0", *options, stderr=-1, env=environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(120):
            while (found := re.search(rb"listening on .*:(\d+)", await process.stderr.readline())) is None:
                assert not process.stderr.at_eof(), "the server ended"
        yield f"127.0.0.1:{found[1].decode()}"
    finally:
        process.kill()
        await process.communicate()


@every_case
@pytest.mark.capability("gRPC interop cases: our client, their server", peer="grpc-go")
async def test_our_client_their_server(case: str, cell: Cell) -> None:
    cell(case, "meshkit -> grpc-go")
    async with grpc_go_serving() as address:
        await play(CASES[case], address)


@every_case
@pytest.mark.capability("gRPC interop cases: our client, their server, over TLS", peer="grpc-go")
async def test_our_client_their_server_over_tls(case: str, cell: Cell, certificates: Certificates) -> None:
    cell(case, "meshkit -> grpc-go, TLS")
    options = (f"--tls_cert_file={certificates.chain}", f"--tls_key_file={certificates.key}")
    async with grpc_go_serving("--use_tls", *options) as address:
        await play(CASES[case], address, tls=TlsSettings(client_context(ca=certificates.authority)))


@every_case
@pytest.mark.capability("gRPC interop cases: their client, our server", peer="grpc-go")
async def test_their_client_our_server(case: str, cell: Cell) -> None:
    cell(case, "grpc-go -> meshkit")
    async with Server([InteropService()]) as server:
        await grpc_go_calls(await server.listen(), case)


@every_case
@pytest.mark.capability("gRPC interop cases: their client, our server, over TLS", peer="grpc-go")
async def test_their_client_our_server_over_tls(case: str, cell: Cell, certificates: Certificates) -> None:
    cell(case, "grpc-go -> meshkit, TLS")
    tls = TlsSettings(server_context(cert=certificates.chain, key=certificates.key))
    async with Server([InteropService()], tls=tls) as server:
        options = ("--use_tls", "--use_test_ca", f"--ca_file={certificates.authority}")
        await grpc_go_calls(await server.listen(), case, *options)


@pytest.mark.parametrize(("case", "iterations"), [("rpc_soak", 500), ("channel_soak", 100)])
async def test_their_client_soaks_our_server(case: str, iterations: int, cell: Cell) -> None:
    """Many large calls, on one connection or on one each."""
    cell(case, "grpc-go -> meshkit")
    async with Server([InteropService()]) as server:
        options = (f"--soak_iterations={iterations}", "--soak_num_threads=4", "--soak_overall_timeout_seconds=240")
        patience = "--soak_per_iteration_max_acceptable_latency_ms=20000"
        await grpc_go_calls(await server.listen(), case, *options, patience)


# -- grpc-go's own xDS client, told by our control plane


class Counting(InteropService):
    """Counts its unary calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def unary_call(self, request: Any, ctx: Context, /) -> Any:
        self.calls += 1
        return await super().unary_call(request, ctx)


@asynccontextmanager
async def interop_serving(plane: int, version: str) -> AsyncIterator[Counting]:
    """A service "interop" of the mesh."""
    service = Counting()
    async with (
        Mesh(f"127.0.0.1:{plane}", service="interop", labels={"version": version}) as mesh,
        mesh.serving(service),
    ):
        yield service


@every_case
@pytest.mark.capability("xDS client of theirs calls our server by the embedded control plane", peer="grpc-go")
async def test_their_xds_client_our_server(case: str, cell: Cell, tmp_path: Path) -> None:
    cell(case, "grpc-go xds -> meshkit")
    async with control_plane(tmp_path) as plane, interop_serving(plane.port, "v1"):
        await grpc_go_calls_over_xds(plane.port, case)


async def test_their_xds_client_obeys_rules(tmp_path: Path) -> None:
    write_rule(tmp_path, "subsets", subsets("interop"))
    write_rule(tmp_path, "weights", weights(75, 25, admin=True).replace("greeter", "interop"))
    async with (
        control_plane(tmp_path) as plane,
        interop_serving(plane.port, "v1") as v1,
        interop_serving(plane.port, "v2") as v2,
    ):
        soak = ("rpc_soak", "--soak_iterations=400", "--soak_request_size=10", "--soak_response_size=10")
        await grpc_go_calls_over_xds(plane.port, *soak)
        assert v1.calls + v2.calls == 400
        assert within(v1.calls / 400, 0.75, 400, deviations=6.5)
        before = v1.calls
        await grpc_go_calls_over_xds(plane.port, "custom_metadata", "--additional_metadata=user:admin")
        assert v1.calls == before


async def grpc_go_calls_over_xds(plane: int, case: str, *options: str) -> None:
    """grpc-go's client plays ``case`` with the mesh's service "interop"."""
    target = "--server_host=xds:///interop.default.svc.cluster.local:80"
    await grpc_go_calls(0, case, target, *options, GRPC_XDS_BOOTSTRAP_CONFIG=grpc_bootstrap(plane))


# -- its programs


async def grpc_go_calls(port: int, case: str, *options: str, **environment: str) -> None:
    """grpc-go's client plays ``case`` with the server on ``port``."""
    binary = await asyncio.to_thread(go_binary, "google.golang.org/grpc/interop/client", VERSION)
    arguments = ("--server_host=127.0.0.1", f"--server_port={port}", f"--test_case={case}", *options)
    process = await asyncio.create_subprocess_exec(
        binary, *arguments, stdout=-1, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **environment}
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 300)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode()
