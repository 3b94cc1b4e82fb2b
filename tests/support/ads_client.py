"""Scripted ADS clients, state of the world and delta, made of grpcio and xds-protos."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import grpc.aio
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2, struct_pb2
from google.rpc import status_pb2

from meshkit.control.encoding import Encoded

__all__ = ["CDS", "EDS", "LDS", "RDS", "DeltaClient", "SotwClient", "decoded", "node", "unpack"]

PREFIX = "type.googleapis.com/envoy.config."
CDS = PREFIX + "cluster.v3.Cluster"
EDS = PREFIX + "endpoint.v3.ClusterLoadAssignment"
LDS = PREFIX + "listener.v3.Listener"
RDS = PREFIX + "route.v3.RouteConfiguration"

_CLASSES: dict[str, Any] = {
    CDS: cluster_pb2.Cluster,
    EDS: endpoint_pb2.ClusterLoadAssignment,
    LDS: listener_pb2.Listener,
    RDS: route_pb2.RouteConfiguration,
}


def node(name: str = "client", namespace: str = "default", **metadata: Any) -> base_pb2.Node:
    """A node with an Istio id."""
    struct = struct_pb2.Struct()
    struct.update({"NAMESPACE": namespace, "INSTANCE_IPS": "127.0.0.1", **metadata})
    return base_pb2.Node(id=f"sidecar~127.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local", metadata=struct)


def unpack(any_message: Any) -> Any:
    """The resource inside a google.protobuf.Any."""
    return _CLASSES[any_message.type_url].FromString(any_message.value)


def decoded(resource: Encoded) -> Any:
    """The resource as our control plane is about to send it."""
    return unpack(any_pb2.Any.FromString(resource.any))


class _Client:
    def __init__(self, port: int, identity: base_pb2.Node | None = None) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._node = identity or node()
        self._call: Any = None

    async def __aenter__(self) -> Self:
        self._call = self._open(ads_pb2_grpc.AggregatedDiscoveryServiceStub(self._channel))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()
        await self._channel.close()

    def _open(self, stub: Any) -> Any:
        raise NotImplementedError

    async def _write(self, request: Any) -> None:
        if self._node is not None:
            request.node.CopyFrom(self._node)
            self._node = None
        await self._call.write(request)

    async def receive(self, timeout: float = 5) -> Any:
        """The next response."""
        response = await asyncio.wait_for(self._call.read(), timeout)
        assert response is not grpc.aio.EOF
        return response

    async def nothing(self, seconds: float = 0.15) -> None:
        """Assert that no response comes for a while. Ends the stream: a read that was given up cannot be resumed."""
        try:
            response = await asyncio.wait_for(self._call.read(), seconds)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected response {response}")

    async def end(self) -> grpc.StatusCode:
        """How the stream ended."""
        return await self._call.code()


class SotwClient(_Client):
    """State of the world."""

    def _open(self, stub: Any) -> Any:
        return stub.StreamAggregatedResources()

    async def ask(self, kind: str, *names: str, version: str = "", nonce: str = "", error: str = "") -> None:
        """Send a request with all names of a type."""
        request = discovery_pb2.DiscoveryRequest(
            type_url=kind, resource_names=names, version_info=version, response_nonce=nonce
        )
        if error:
            request.error_detail.CopyFrom(status_pb2.Status(code=3, message=error))
        await self._write(request)

    async def fetch(self, kind: str, *names: str) -> dict[str, Any]:
        """Ask for the first time and take the answer, acknowledged, by name."""
        await self.ask(kind, *names)
        response = await self.receive()
        assert response.type_url == kind
        await self.ask(kind, *names, version=response.version_info, nonce=response.nonce)
        return by_name(response)

    async def pushed(self, *names: str) -> tuple[str, dict[str, Any]]:
        """The next response, acknowledged with ``names``: its type and its resources by name."""
        response = await self.receive()
        await self.ask(response.type_url, *names, version=response.version_info, nonce=response.nonce)
        return response.type_url, by_name(response)


def by_name(response: Any) -> dict[str, Any]:
    """The resources of a DiscoveryResponse by name."""
    found = [unpack(one) for one in response.resources]
    return {getattr(one, "cluster_name", "") or one.name: one for one in found}


class DeltaClient(_Client):
    """Incremental."""

    def _open(self, stub: Any) -> Any:
        return stub.DeltaAggregatedResources()

    async def ask(
        self,
        kind: str,
        subscribe: tuple[str, ...] = (),
        unsubscribe: tuple[str, ...] = (),
        *,
        nonce: str = "",
        error: str = "",
        versions: dict[str, str] | None = None,
    ) -> None:
        """Send a request."""
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=kind,
            resource_names_subscribe=subscribe,
            resource_names_unsubscribe=unsubscribe,
            response_nonce=nonce,
            initial_resource_versions=versions or {},
        )
        if error:
            request.error_detail.CopyFrom(status_pb2.Status(code=3, message=error))
        await self._write(request)

    async def fetch(self, kind: str, *names: str) -> dict[str, Any]:
        """Subscribe and take the answer, acknowledged, by name."""
        await self.ask(kind, names)
        got, resources, _ = await self.pushed()
        assert got == kind
        return resources

    async def pushed(self) -> tuple[str, dict[str, Any], list[str]]:
        """The next response, acknowledged: its type, its resources by name, and the names removed."""
        response = await self.receive()
        await self.ask(response.type_url, nonce=response.nonce)
        resources = {one.name: unpack(one.resource) for one in response.resources}
        return response.type_url, resources, list(response.removed_resources)
