"""dubbo-go 3.1 in xDS mode (``tests/peers/dubbo-go-3.1``) in a mesh with our own servers and clients.

Pods are addresses of their own on loopback. dubbo-go reads /debug/adsz at the control plane's IP and port 8080, which
cannot be changed: so the control plane of each test has an IP of its own too.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import pytest

from meshkit.control import ControlPlane
from meshkit.mesh import Mesh
from tests.support.dubbo_greeter import Greeter, hello
from tests.support.gen.api.greeter_mesh import GreeterClient
from tests.support.gopeers import go_peer
from tests.support.waiting import until

__all__ = [
    "HOST",
    "PORT",
    "DubboConsumer",
    "DubboProvider",
    "dubbo_consumer",
    "dubbo_plane",
    "dubbo_provider",
    "loopback",
    "our_consumer",
    "our_provider",
    "service",
    "token_file",
    "workload",
]

HOST = "greeter.default.svc.cluster.local"
PORT = 20000  # of the service, and of each dubbo-go provider on its own address
TOKEN = Path("/var/run/secrets/token/istio-token")
_START = 180.0  # seconds that a program of theirs may take on a busy machine; it takes 3
_ANSWERS = 120.0
_LAST = cycle(range(1, 251))
_RESULT = re.compile(r"RESULT (\d+) x (\w+)(.*)")


def loopback() -> str:
    """An address of this machine that no other test uses, and no other run beside this one."""
    return f"127.{random.randint(16, 250)}.{random.randint(0, 250)}.{next(_LAST)}"


def token_file() -> Path:
    """The file that a dubbo-go consumer reads its token from; it cannot be told another. Made where it is missing."""
    if not TOKEN.exists():
        try:
            TOKEN.parent.mkdir(parents=True, exist_ok=True)
            with TOKEN.open("x") as file:
                file.write("token")
        except FileExistsError:
            pass  # another run was quicker
        except OSError as error:
            make = f"mkdir -p {TOKEN.parent} && printf token > {TOKEN}"
            pytest.fail(f"dubbo-go 3.1 needs {TOKEN}, which cannot be made: {error.strerror}. As root: {make}")
    if TOKEN.read_bytes().endswith(b"\n"):
        pytest.fail(f"dubbo-go 3.1 sends {TOKEN} as it is, and makes no call if it ends with a newline: remove that")
    return TOKEN


# -- YAML --------------------------------------------------------------------------------------------------------------


def service() -> str:
    """The Service of the greeters: every pod with its label."""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: greeter, namespace: default}}
spec:
  hosts: [{HOST}]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{{number: {PORT}, name: tri, protocol: GRPC}}]
  workloadSelector: {{labels: {{app: greeter}}}}
"""


def workload(pod: str, address: str, version: str) -> str:
    """A pod of the greeters."""
    return f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: {pod}, namespace: default}}
spec: {{address: {address}, labels: {{app: greeter, version: {version}}}}}
"""


# -- processes ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def dubbo_plane(folder: Path, host: str, port: int = 0) -> AsyncIterator[ControlPlane]:
    """The embedded control plane with its pages where dubbo-go reads them."""
    async with ControlPlane(folder, host=host, port=port, debug_port=8080) as plane:
        yield plane


class DubboProvider:
    """A dubbo-go server. Answers start with its name."""

    def __init__(self, process: Process) -> None:
        self.process = process


class DubboConsumer:
    """A dubbo-go client that calls as it is told."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def shares(self, count: int, **headers: str) -> Counter[str]:
        """How many of so many calls each provider answered; "ERR" counts those that failed."""
        assert self._process.stdin is not None
        words = [str(count), *(f"{name}={value}" for name, value in headers.items())]
        self._process.stdin.write(" ".join(words).encode() + b"\n")
        lines = await _lines_until(self._process, "DONE", _ANSWERS)
        return Counter({name: int(number) for number, name, _ in _RESULT.findall("\n".join(lines))})


@asynccontextmanager
async def dubbo_provider(plane: ControlPlane, pod: str, address: str, name: str) -> AsyncIterator[DubboProvider]:
    """A dubbo-go server that has registered its interface."""
    arguments = ("-ip", address, "-port", str(PORT), "-id", name)
    async with _program("./server", plane, pod, *arguments) as process:

        async def registered() -> bool:
            nodes = [session.node for session in plane.hub.sessions.values()]
            return any(node.name == f"{pod}.default" and node.labels.get("DUBBO_GO") for node in nodes)

        await until(registered, _START)
        yield DubboProvider(process)


@asynccontextmanager
async def dubbo_consumer(plane: ControlPlane, pod: str = "consumer", *arguments: str) -> AsyncIterator[DubboConsumer]:
    """A dubbo-go client that has found a provider. It belongs to no service."""
    token_file()
    async with _program("./client", plane, pod, "-told", "-timeout", "30s", *arguments) as process:
        consumer = DubboConsumer(process)

        async def can_call() -> bool:
            """It gets routes after endpoints, and waits half a second for them."""
            return "ERR" not in await consumer.shares(1)

        await until(can_call)
        yield consumer


@asynccontextmanager
async def _program(package: str, plane: ControlPlane, pod: str, *arguments: str) -> AsyncIterator[Process]:
    binary = await asyncio.to_thread(go_peer, "dubbo-go-3.1", package)
    names = {"POD_NAME": pod, "POD_NAMESPACE": "default"}
    ads = f"{plane.host}:{plane.port}"
    process = await asyncio.create_subprocess_exec(
        *(binary, "-ads", ads, *arguments), stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=os.environ | names
    )
    try:
        await _lines_until(process, "READY", _START)
        drain = asyncio.create_task(_drain(process)) if package == "./server" else None
        yield process
        if drain is not None:
            drain.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _lines_until(process: Process, last: str, limit: float) -> list[str]:
    """What it prints up to the line ``last``."""
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(limit):
            async for line in process.stdout:
                lines.append(line.decode(errors="replace").rstrip())
                if lines[-1] == last:
                    return lines
    except TimeoutError:
        pass
    raise AssertionError(f"no line {last!r} of {limit:g} s:\n" + "\n".join(lines[-30:]))


async def _drain(process: Process) -> None:
    """Keep reading a server's log, which would block it once the pipe is full."""
    assert process.stdout is not None
    while await process.stdout.read(65536):
        pass


# -- ours --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def our_provider(plane: ControlPlane, name: str) -> AsyncIterator[None]:
    """A server of ours in the same service; its version is its name."""
    labels = {"app": "greeter", "version": name}
    settings = {"service": "greeter", "service_port": PORT, "labels": labels, "address": loopback()}
    async with Mesh(f"{plane.host}:{plane.port}", **settings) as mesh, mesh.serving(Greeter(name)):
        yield


@asynccontextmanager
async def our_consumer(plane: ControlPlane) -> AsyncIterator[Callable[..., Awaitable[Counter[str]]]]:
    """A client of ours, which asks for the interface; gives what `DubboConsumer.shares` is to the other."""
    async with Mesh(f"{plane.host}:{plane.port}", wait=30) as mesh:
        client = GreeterClient(mesh)

        async def shares(count: int, **headers: str) -> Counter[str]:
            replies = [await client.say_hello(hello("x"), timeout=30, metadata=headers) for _ in range(count)]
            return Counter(reply.message.partition(":")[0] for reply in replies)

        yield shares
