"""A whole mesh on this machine: a folder of rules, the embedded control plane, greeters that say who they are."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from meshkit.control import ControlPlane
from meshkit.mesh import Mesh, MeshServer
from meshkit.rpc import Context
from tests.support.files import save
from tests.support.gen.helloworld.v1 import HelloReply, HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterBase, GreeterClient

ROOT = Path(__file__).parent.parent.parent


class Greeter(GreeterBase):
    """Answers with its own name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def say_hello(self, request: HelloRequest, ctx: Context, /) -> HelloReply:
        return HelloReply(message=self.name)


def write_rule(folder: Path, name: str, text: str) -> None:
    """Put a rule in force, whole."""
    save(folder / f"{name}.yaml", text)


def subsets(host: str = "greeter") -> str:
    return (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        f"metadata: {{name: {host}, namespace: default}}\n"
        f"spec:\n  host: {host}\n  subsets:\n"
        "  - {name: v1, labels: {version: v1}}\n  - {name: v2, labels: {version: v2}}\n"
    )


def weights(first: int, second: int, *, admin: bool = False) -> str:
    rule = "  - match: [{headers: {user: {exact: admin}}}]\n    route: [{destination: {host: greeter, subset: v2}}]\n"
    return (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: greeter, namespace: default}\n"
        f"spec:\n  hosts: [greeter]\n  http:\n{rule if admin else ''}"
        f"  - route:\n    - {{destination: {{host: greeter, subset: v1}}, weight: {first}}}\n"
        f"    - {{destination: {{host: greeter, subset: v2}}, weight: {second}}}\n"
    )


@asynccontextmanager
async def control_plane(folder: Path, port: int = 0, **options: Any) -> AsyncIterator[ControlPlane]:
    """The embedded control plane over ``folder``, without debug pages."""
    async with ControlPlane(folder, port=port, debug_port=None, **options) as plane:
        yield plane


@asynccontextmanager
async def greeter(plane: int, name: str, service: str = "greeter", **settings: Any) -> AsyncIterator[MeshServer]:
    """A greeter of ``service`` in this process, with a mesh of its own; its version is the start of its name."""
    labels = {"version": name.partition("-")[0]}
    async with (
        Mesh(f"127.0.0.1:{plane}", service=service, labels=labels, **settings) as mesh,
        mesh.serving(Greeter(name)) as server,
    ):
        yield server


class GreeterProcess:
    """A greeter in a process of its own."""

    def __init__(self, process: Process, address: str) -> None:
        self.process = process
        self.address = address

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)


@asynccontextmanager
async def greeter_process(plane: int, name: str, environment: Mapping[str, str] = {}) -> AsyncIterator[GreeterProcess]:
    """A greeter that can be killed."""
    settings = {
        "MESHKIT_CONTROL_PLANE": f"127.0.0.1:{plane}",
        "MESHKIT_SERVICE": "greeter",
        "MESHKIT_LABELS": f"version={name.partition('-')[0]}",
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.greeter_main", name, stdout=PIPE, env=os.environ | settings | environment
    )
    assert process.stdout is not None
    try:
        yield GreeterProcess(process, (await process.stdout.readline()).decode().strip())
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def who_answers(client: GreeterClient, count: int, metadata: Mapping[str, str] | None = None) -> Counter[str]:
    """The names that answer ``count`` calls, 32 at a time."""
    names: Counter[str] = Counter()
    request = HelloRequest(name="Ada")

    async def some(calls: int) -> None:
        for _ in range(calls):
            names[(await client.say_hello(request, timeout=30, metadata=metadata)).message] += 1

    await asyncio.gather(*(some(count // 32 + (index < count % 32)) for index in range(32)))
    return names


def within(share: float, expected: float, count: int, deviations: float = 3.0) -> bool:
    """Whether ``share`` of ``count`` draws is within so many standard deviations of ``expected``."""
    return abs(share - expected) <= deviations * math.sqrt(expected * (1 - expected) / count)
