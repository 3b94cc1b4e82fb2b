"""A little mesh on a real istiod: greeters on 127.0.0.x addresses, the objects that tell Istio of them, callers.

The objects are plain dictionaries (JSON is YAML), so that a test changes one where it needs another one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import pytest

from meshkit.errors import RpcError
from meshkit.mesh import Mesh
from meshkit.rpc import Server
from meshkit.tasks import Scope
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterBase, GreeterClient
from tests.support.istiod import Istiod
from tests.support.waiting import until
from tests.support.world import Greeter, who_answers, within

__all__ = [
    "CLIENT",
    "DELTA",
    "HOST",
    "LIGHT",
    "Object",
    "both",
    "caller",
    "destination_rule",
    "gateway_route",
    "greeters",
    "kubernetes",
    "member",
    "node",
    "routes",
    "service_entry",
    "settle",
    "settle_share",
    "sidecar",
    "under_load",
    "until_fails",
    "virtual_service",
    "workload_entry",
]

HOST = "greeter.demo.svc.cluster.local"
CLIENT = "127.0.0.99"  # the client's own address, where nobody listens
DELTA: Mapping[str, Any] = {"xds": "delta"}
LIGHT: Mapping[str, Any] = {"xds": "sotw", "generator": "grpc"}
_PEERS = {"istiod delta": DELTA, "istiod grpc/SotW": LIGHT}

Object = dict[str, Any]


def both(capability: str) -> pytest.MarkDecorator:
    """Run a test in both ways to talk to istiod, as its argument ``mode``; each fills one cell of the table."""
    cells = [
        pytest.param(mode, id=peer.partition(" ")[2], marks=pytest.mark.capability(capability, peer=peer))
        for peer, mode in _PEERS.items()
    ]
    return pytest.mark.parametrize("mode", cells)


@asynccontextmanager
async def greeters(names: Mapping[str, str | GreeterBase], port: int = 0) -> AsyncIterator[int]:
    """A greeter for each address, all on one port, each answering with its name, or one's own; gives the port."""
    async with AsyncExitStack() as stack:
        yield await _listen(stack, names, port)


async def _listen(stack: AsyncExitStack, names: Mapping[str, str | GreeterBase], port: int) -> int:
    """Start a greeter on each address: anew on another port where the first's is taken on the next address."""
    for attempt in count(1):
        async with AsyncExitStack() as started:
            given = port
            try:
                for address, name in names.items():
                    server = Server([Greeter(name) if isinstance(name, str) else name])
                    started.push_async_callback(server.close)
                    given = await server.listen(address, given)
            except OSError:
                if port or attempt == 10:
                    raise
                continue
            stack.push_async_callback(started.pop_all().aclose)
            return given
    raise AssertionError


@asynccontextmanager
async def caller(istiod: Istiod, mode: Mapping[str, Any] = DELTA, **settings: Any) -> AsyncIterator[GreeterClient]:
    """A client of the greeter, over a `member` of its own."""
    async with member(istiod, mode, **settings) as mesh:
        yield GreeterClient(mesh)


def member(istiod: Istiod | str, mode: Mapping[str, Any] = DELTA, **settings: Any) -> Mesh:
    """A process's part in the mesh, in namespace ``demo``, that looks for the greeter at ``HOST:80``."""
    address = istiod if isinstance(istiod, str) else istiod.address
    where = {"interfaces": {"helloworld.v1.Greeter": f"{HOST}:80"}, "namespace": "demo", "address": CLIENT}
    return Mesh(address, **{"wait": 30.0, **where, **mode, **settings})


async def settle(
    client: GreeterClient, names: set[str], calls: int = 30, *, limit: float = 60.0, **options: Any
) -> None:
    """Wait until so many calls are answered by just these; calls may fail until then."""

    async def answered() -> bool:
        try:
            return set(await who_answers(client, calls, **options)) == names
        except RpcError:
            return False

    await until(answered, limit)


async def settle_share(client: GreeterClient, name: str, expected: float, calls: int = 1000) -> None:
    """Wait until ``name`` answers about its share of so many calls, as a rule may not have been pushed yet.

    Then look at thrice as many, once: a wrong split that is looked at again and again would be right one day. Of right
    ones, one in 500 million is not within six standard deviations.
    """

    async def shared() -> bool:
        return within((await who_answers(client, calls))[name] / calls, expected, calls, 4)

    await until(shared)
    proof = 3 * calls
    share = (await who_answers(client, proof))[name] / proof
    assert within(share, expected, proof, 6), f"{name} answers {share:.1%} of {proof} calls, not {expected:.0%}"


async def until_fails(client: GreeterClient, reason: str, **options: Any) -> None:
    """Wait until a call fails with ``reason``, a pattern; who waits in vain is told what came last."""
    last = ""

    async def failed() -> bool:
        nonlocal last
        try:
            last = (await client.say_hello(HelloRequest(name="Ada"), timeout=30, **options)).message
        except RpcError as error:
            last = str(error)
            return re.search(reason, last) is not None
        return False

    try:
        await until(failed)
    except TimeoutError:
        raise AssertionError(f"no call failed with {reason!r}; the last said {last!r}") from None


@asynccontextmanager
async def under_load(client: GreeterClient, callers: int = 4, pause: float = 0.005) -> AsyncIterator[list[RpcError]]:
    """Calls that go on while the block runs; gives the list of those that fail."""
    failures: list[RpcError] = []

    async def call() -> None:
        while True:
            try:
                await client.say_hello(HelloRequest(name="Ada"), timeout=30)
            except RpcError as error:
                failures.append(error)
            await asyncio.sleep(pause)

    async with Scope("load") as scope:
        for number in range(callers):
            scope.start(call(), name=f"caller {number}")
        yield failures


# -- objects ----------------------------------------------------------------------------------------------------------


def kubernetes(name: str, pods: Mapping[str, Mapping[str, str]], target: int, **more: Any) -> list[Object]:
    """A Service with its Pods (by address: their labels) and EndpointSlice, as Kubernetes' controllers make them.

    ``unready``: addresses of pods that are not. ``ports``: of the Service. ``spec`` adds to the Service's. The label
    ``node`` says which Node a pod is on.
    """
    unready, namespace = set(more.get("unready", ())), more.get("namespace", "demo")
    ports = more.get("ports") or [{"name": "grpc", "port": 80}]
    service = _object("v1", "Service", name, namespace)
    service["spec"] = {
        "clusterIP": "10.96.0.10",
        "selector": {"app": name},
        "ports": [{"protocol": "TCP", "targetPort": target, **port} for port in ports],
        **more.get("spec", {}),
    }
    endpoints = _object("discovery.k8s.io/v1", "EndpointSlice", f"{name}-1", namespace)
    endpoints["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    endpoints["addressType"] = "IPv4"
    endpoints["ports"] = [{"name": port["name"], "port": target, "protocol": "TCP"} for port in ports]
    endpoints["endpoints"] = [_endpoint(name, namespace, address, address not in unready) for address in pods]
    return [
        service,
        *(_pod(name, namespace, address, labels, address not in unready) for address, labels in pods.items()),
        endpoints,
    ]


def _pod(app: str, namespace: str, address: str, labels: Mapping[str, str], ready: bool) -> Object:
    pod = _object("v1", "Pod", _pod_name(app, address), namespace)
    pod["metadata"]["labels"] = {"app": app, **labels}
    pod["spec"] = {"serviceAccountName": app, "nodeName": labels.get("node", ""), "containers": [{"name": "app"}]}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    pod["status"] = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [condition]}
    return pod


def _endpoint(app: str, namespace: str, address: str, ready: bool) -> Object:
    return {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": ready, "terminating": False},
        "targetRef": {"kind": "Pod", "name": _pod_name(app, address), "namespace": namespace},
    }


def _pod_name(app: str, address: str) -> str:
    return f"{app}-{address.replace('.', '-')}"


def node(name: str, locality: str) -> Object:
    """A Node at ``region/zone``: Istio takes a pod's locality from it."""
    region, zone = locality.split("/")
    labels = {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def service_entry(
    host: str, endpoints: Mapping[str, Mapping[str, Any]], target: int, port: Mapping[str, Any] = {}, **spec: Any
) -> Object:
    """A static ServiceEntry on port 80; ``endpoints`` by address: labels, locality, weight..."""
    entry = _object("networking.istio.io/v1", "ServiceEntry", host.replace(".", "-"), "demo")
    entry["spec"] = {
        "hosts": [host],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": 80, "name": "grpc", "protocol": "GRPC", "targetPort": target, **port}],
        "endpoints": [{"address": address, **endpoint} for address, endpoint in endpoints.items()],
        **spec,
    }
    return entry


def workload_entry(address: str, app: str = "greeter", **spec: Any) -> Object:
    """A workload that no Pod is."""
    entry = _object("networking.istio.io/v1", "WorkloadEntry", _pod_name(app, address), "demo")
    entry["spec"] = {"address": address, "labels": {"app": app}, **spec}
    return entry


def destination_rule(host: str = HOST, subsets: Mapping[str, Mapping[str, str]] = {}, **policy: Any) -> Object:
    """Subsets by labels, and a traffic policy."""
    rule = _object("networking.istio.io/v1", "DestinationRule", host.replace(".", "-"), "demo")
    rule["spec"] = {"host": host, "subsets": [{"name": name, "labels": labels} for name, labels in subsets.items()]}
    if policy:
        rule["spec"]["trafficPolicy"] = policy
    return rule


def virtual_service(*http: Object, host: str = HOST) -> Object:
    """The routes of a host."""
    service = _object("networking.istio.io/v1", "VirtualService", host.replace(".", "-"), "demo")
    service["spec"] = {"hosts": [host], "http": list(http)}
    return service


def routes(weights: Mapping[str, int], host: str = HOST, **more: Any) -> Object:
    """A route to subsets by weight; ``more``: match, timeout, retries..."""
    many = len(weights) > 1
    return {
        "route": [
            {"destination": {"host": host, "subset": subset}} | ({"weight": weight} if many else {})
            for subset, weight in weights.items()
        ],
        **more,
    }


def sidecar(*hosts: str) -> Object:
    """What the namespace ``demo`` sees: nothing but these hosts, each as ``namespace/host``."""
    scope = _object("networking.istio.io/v1", "Sidecar", "default", "demo")
    scope["spec"] = {"egress": [{"hosts": list(hosts)}]}
    return scope


def gateway_route(kind: str, *rules: tuple[Mapping[str, int], Mapping[str, Any]], service: str = "greeter") -> Object:
    """An HTTPRoute or GRPCRoute of a Service: for each rule, Services by weight and what a call must match; with what
    an API server fills in, without which istiod ends."""
    anything = {"path": {"type": "PathPrefix", "value": "/"}} if kind == "HTTPRoute" else {}
    route = _object("gateway.networking.k8s.io/v1", kind, service, "demo")
    route["spec"] = {
        "parentRefs": [{"group": "", "kind": "Service", "name": service, "port": 80}],
        "rules": [
            {
                "matches": [{**anything, **match}],
                "backendRefs": [{"name": name, "port": 80, "weight": weight} for name, weight in backends.items()],
            }
            for backends, match in rules
        ],
    }
    return route


def _object(version: str, kind: str, name: str, namespace: str) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
