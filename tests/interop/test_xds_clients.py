"""One YAML, two control planes, four xDS clients: who is called, in which share, and with what status, is the same.

grpcio (C-core), grpc-js and grpc-go resolve ``xds:///`` names by listeners and routes of their own (gRFC A27); our
client asks for an interface, in both dialects of istiod. All of them go by the same VirtualService and DestinationRule,
given to the embedded control plane and to a real istiod.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from meshkit.errors import RpcError
from meshkit.mesh import Mesh
from meshkit.rpc import Method, UnaryCall
from tests.support.echo import EchoBackend
from tests.support.gopeers import go_peer
from tests.support.istiod import running_istiod
from tests.support.nodepeers import node_peer
from tests.support.waiting import until
from tests.support.world import Greeter, control_plane, within, write_rule
from tests.support.xds_caller import GRPCIO, SAY_HELLO, XdsCaller

pytestmark = pytest.mark.interop

HOST = "greeter.demo.svc.cluster.local"
CLIENTS = ("grpcio", "grpc-js", "grpc-go", "meshkit", "meshkit light")
RULES = "VirtualService: header, method, weight, timeout, retries; edited live"
OUR_SERVER = "xDS client of theirs calls our server by the embedded control plane"
SPLIT = 500  # calls that show a share


class Plane(Protocol):
    """A control plane that takes YAML."""

    port: int

    async def apply(self, name: str, text: str) -> None: ...


class Embedded:
    """Ours."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    async def apply(self, name: str, text: str) -> None:
        write_rule(self.folder, name, text)


class Istio:
    """Istio's."""

    def __init__(self, istiod: Any) -> None:
        self.apply = istiod.apply
        self.port = istiod.ports["xds"]


class OurCaller:
    """A `Mesh` behind the lines of `XdsCaller`."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    async def shares(self, count: int, path: str = SAY_HELLO, **metadata: str) -> Counter[str]:
        method = Method(path, bytes, bytes)
        return Counter([await self._answer(method, metadata) for _ in range(count)])

    async def _answer(self, method: Method[bytes, bytes], metadata: dict[str, str]) -> str:
        try:
            return (await UnaryCall(self._mesh, method, b"", 30, metadata)).decode()
        except RpcError as error:
            return error.status.name


def service(*backends: EchoBackend) -> str:
    endpoints = "".join(
        f"  - {{address: {one.host}, ports: {{grpc: {one.port}}}, labels: {{version: {one.name}}}}}\n"
        for one in backends
    )
    return (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: greeter, namespace: demo}\nspec:\n"
        f"  hosts: [{HOST}]\n  resolution: STATIC\n  location: MESH_INTERNAL\n"
        f"  ports: [{{number: 9080, name: grpc, protocol: GRPC}}]\n  endpoints:\n{endpoints}"
    )


def rules(first: int) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: greeter, namespace: demo}}
spec:
  host: {HOST}
  trafficPolicy: {{loadBalancer: {{simple: ROUND_ROBIN}}}}
  subsets:
  - {{name: v1, labels: {{version: v1}}}}
  - {{name: v2, labels: {{version: v2}}}}
  - {{name: nobody, labels: {{version: v9}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: greeter, namespace: demo}}
spec:
  hosts: [{HOST}]
  http:
  - match: [{{headers: {{user: {{exact: admin}}}}}}]
    route: [{{destination: {{host: {HOST}, subset: v2}}}}]
  - match: [{{headers: {{team: {{regex: "blue|green"}}}}}}, {{headers: {{team: {{prefix: red-}}}}}}]
    route: [{{destination: {{host: {HOST}, subset: v2}}}}]
  - match: [{{headers: {{case: {{exact: nobody}}}}}}]
    route: [{{destination: {{host: {HOST}, subset: nobody}}}}]
  - match: [{{headers: {{case: {{exact: late}}}}}}]
    timeout: 1s
    route: [{{destination: {{host: {HOST}, subset: v1}}}}]
  - match: [{{headers: {{case: {{exact: retried}}}}}}]
    retries: {{attempts: 3, retryOn: unavailable}}
    route: [{{destination: {{host: {HOST}}}}}]
  - match: [{{headers: {{case: {{exact: once}}}}}}]
    retries: {{attempts: 0}}
    route: [{{destination: {{host: {HOST}, subset: v1}}}}]
  - match: [{{uri: {{exact: /helloworld.v1.Greeter/Second}}}}]
    route: [{{destination: {{host: {HOST}, subset: v2}}}}]
  - match: [{{uri: {{prefix: /helloworld.v1.Greeter/}}}}]
    route:
    - {{destination: {{host: {HOST}, subset: v1}}, weight: {first}}}
    - {{destination: {{host: {HOST}, subset: v2}}, weight: {100 - first}}}
"""


# grpcio takes a timeout below a second for none at all: every call is late at once, whoever sends the route.
ONLY_V1, ONLY_V2, BOTH = {"v1"}, {"v2"}, {"v1", "v2"}
# What is asked, and who may answer or which status must come.
CASES: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "header exact": (SAY_HELLO, {"user": "admin"}, ONLY_V2),
    "header regex": (SAY_HELLO, {"team": "green"}, ONLY_V2),
    "header prefix": (SAY_HELLO, {"team": "red-7"}, ONLY_V2),
    "header regex matches whole values": (SAY_HELLO, {"team": "greenish", "case": "once"}, ONLY_V1),
    "method": ("/helloworld.v1.Greeter/Second", {}, ONLY_V2),
    "subset without endpoints": (SAY_HELLO, {"case": "nobody"}, {"UNAVAILABLE"}),
    "route timeout": (SAY_HELLO, {"case": "late", "sleep": "3"}, {"DEADLINE_EXCEEDED"}),
    "retry reaches the other endpoint": (SAY_HELLO, {"case": "retried", "down": "v1"}, ONLY_V2),
    "no retry": (SAY_HELLO, {"case": "once", "down": "v1"}, {"UNAVAILABLE"}),
    "no route": ("/other.v1.Other/Call", {}, {"UNAVAILABLE"}),
}


@pytest.fixture(params=["embedded", "istiod"])
async def plane(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Plane]:
    if request.param == "embedded":
        async with control_plane(tmp_path, settle=0) as ours:
            yield Embedded(tmp_path, ours.port)
    else:
        async with running_istiod(tmp_path) as istiod:
            yield Istio(istiod)


@asynccontextmanager
async def caller(client: str, plane: Plane) -> AsyncIterator[Any]:
    """A client of this kind, which calls the interface through this control plane."""
    if client in _OURS:
        settings: dict[str, Any] = {
            "namespace": "demo",
            "interfaces": dict.fromkeys(_INTERFACES, f"{HOST}:9080"),
            "wait": 1,
            "generator": _OURS[client],
        }
        async with Mesh(f"127.0.0.1:{plane.port}", **settings) as mesh:
            yield OurCaller(mesh)
    else:
        program = await asyncio.to_thread(_PROGRAMS[client])
        async with XdsCaller(f"xds:///{HOST}:9080", plane.port, program) as process:
            yield process


_INTERFACES = ("helloworld.v1.Greeter", "other.v1.Other")
_OURS = {"meshkit": "", "meshkit light": "grpc"}
_PROGRAMS: dict[str, Callable[[], tuple[str | Path, ...]]] = {
    "grpcio": lambda: GRPCIO,
    "grpc-js": lambda: node_peer("grpc-js", "caller.js"),
    "grpc-go": lambda: (go_peer("grpc-go-xds"),),
}


@pytest.mark.capability(RULES, peer="grpcio")
@pytest.mark.capability(RULES, peer="grpc-js")
@pytest.mark.capability(RULES, peer="grpc-go")
@pytest.mark.capability(RULES, peer="embedded")
@pytest.mark.capability(RULES, peer="istiod delta")
@pytest.mark.capability(RULES, peer="istiod grpc/SotW")
async def test_who_is_called_in_which_share_and_with_what_status_is_the_same(plane: Plane) -> None:
    async with AsyncExitStack() as stack:
        v1 = await stack.enter_async_context(EchoBackend("v1", "127.0.0.2"))
        v2 = await stack.enter_async_context(EchoBackend("v2", "127.0.0.3"))
        await plane.apply("service", service(v1, v2))
        await plane.apply("rules", rules(80))
        callers = {name: await stack.enter_async_context(caller(name, plane)) for name in CLIENTS}
        await _each(callers, _answers, 0.8)
        await plane.apply("rules", rules(30))
        await _each(callers, _mostly_v2, 0.3)


@pytest.mark.parametrize(
    "client",
    [pytest.param(name, marks=pytest.mark.capability(OUR_SERVER, peer=name)) for name in ("grpcio", "grpc-js")],
)
async def test_their_client_finds_our_server(client: str, tmp_path: Path) -> None:
    """Servers that no YAML knows: their endpoints are what they registered."""
    async with AsyncExitStack() as stack:
        plane = await stack.enter_async_context(control_plane(tmp_path))
        for version in ("v1", "v2"):
            settings = {"service": "greeter", "namespace": "demo", "labels": {"version": version}}
            mesh = await stack.enter_async_context(Mesh(f"127.0.0.1:{plane.port}", **settings))
            await stack.enter_async_context(mesh.serving(Greeter(version)))
        program = await asyncio.to_thread(_PROGRAMS[client])
        caller = XdsCaller(f"xds:///{HOST}:80", plane.port, program)
        process = await stack.enter_async_context(caller)

        async def both_answer() -> bool:
            """Once it is connected with both: until then it calls the one that it is connected with."""
            return {answer[-2:] for answer in await process.shares(20)} == BOTH

        await until(both_answer, 120)


async def _each(callers: dict[str, Any], ready: Callable[[Any], Callable[[], Awaitable[bool]]], first: float) -> None:
    """Every client, side by side, obeys the rules once it has them."""

    async def one(name: str, client: Any) -> None:
        await until(ready(client), 120)
        await _obeys(name, client, first)

    await asyncio.gather(*(one(name, client) for name, client in callers.items()))


def _answers(client: Any) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        admins, anybody = await client.shares(5, user="admin"), await client.shares(4, case="retried")
        return set(admins) == ONLY_V2 and set(anybody) == BOTH  # connected with both: a retry has somewhere to go

    return ready


def _mostly_v2(client: Any) -> Callable[[], Awaitable[bool]]:
    async def edited() -> bool:
        return bool((await client.shares(40))["v2"] > 24)  # 8 of 40 are expected under the rules of before

    return edited


async def _obeys(name: str, client: Any, first: float) -> None:
    answers = {case: set(await client.shares(2, path, **fields)) for case, (path, fields, _) in CASES.items()}
    assert answers == {case: expected for case, (_, _, expected) in CASES.items()}, name
    counts = await client.shares(SPLIT)
    assert set(counts) == BOTH
    assert within(counts["v1"] / SPLIT, first, SPLIT, deviations=6.5), (name, counts)
