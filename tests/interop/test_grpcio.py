"""gRPC's interop cases between grpcio and us, in both directions, and between us and us."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshkit.rpc import Server
from tests.support import interop_cases as ours
from tests.support import interop_grpcio as theirs

Cell = Callable[[str, str], None]
every_case = pytest.mark.parametrize("case", [*ours.CASES, *ours.COMPRESSED])


@every_case
@pytest.mark.capability("gRPC interop cases: our client, their server", peer="grpcio")
async def test_our_client_their_server(case: str, cell: Cell) -> None:
    cell(case, "meshkit -> grpcio")
    async with theirs.serving() as address:
        await ours.play({**ours.CASES, **ours.COMPRESSED}[case], address)


@every_case
@pytest.mark.capability("gRPC interop cases: their client, our server", peer="grpcio")
async def test_their_client_our_server(case: str, cell: Cell) -> None:
    cell(case, "grpcio -> meshkit")
    async with Server([ours.InteropService()]) as server:
        await theirs.play({**theirs.CASES, **theirs.COMPRESSED}[case], f"127.0.0.1:{await server.listen()}")


@every_case
async def test_our_client_our_server(case: str, cell: Cell) -> None:
    cell(case, "meshkit -> meshkit")
    async with Server([ours.InteropService()]) as server:
        await ours.play({**ours.CASES, **ours.COMPRESSED}[case], f"127.0.0.1:{await server.listen()}")
