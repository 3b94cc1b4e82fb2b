"""A scripted control plane: a real gRPC server (grpc.aio, xds-protos) that serves what a test puts into it.

It answers as Istio does: RDS and EDS on demand, CDS by wildcard or by name, pushes of what changed, ACKs read and kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import grpc.aio
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

PREFIX = "type.googleapis.com/"
CDS = PREFIX + "envoy.config.cluster.v3.Cluster"
EDS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
RDS = PREFIX + "envoy.config.route.v3.RouteConfiguration"


def cluster(name: str, **fields: Any) -> cluster_pb2.Cluster:
    """An EDS cluster over ADS."""
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS, **fields)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    return message


def endpoints(name: str, *addresses: str, weight: int = 1) -> endpoint_pb2.ClusterLoadAssignment:
    """An assignment of one locality; addresses are ``ip:port``."""
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add()
    locality.load_balancing_weight.value = max(1, len(addresses))
    for address in addresses:
        host, _, port = address.rpartition(":")
        item = locality.lb_endpoints.add()
        item.load_balancing_weight.value = weight
        item.endpoint.address.socket_address.address = host
        item.endpoint.address.socket_address.port_value = int(port)
    return message


def routes(name: str, *clusters: tuple[str, int]) -> route_pb2.RouteConfiguration:
    """One virtual host whose calls are split over ``clusters`` by weight; without clusters, no virtual host."""
    message = route_pb2.RouteConfiguration(name=name)
    if clusters:
        host = message.virtual_hosts.add(name=name, domains=["*"])
        route = host.routes.add(name="default")
        route.match.prefix = "/"
        for cluster_name, weight in clusters:
            route.route.weighted_clusters.clusters.add(name=cluster_name).weight.value = weight
    return message


class Stream:
    """One client's stream, as the server sees it. ``requests`` are all messages received on it."""

    def __init__(self, delta: bool, metadata: Any) -> None:
        self.delta = delta
        self.metadata = metadata
        self.requests: list[Any] = []
        self.names: dict[str, list[str]] = {}
        self.nonces: dict[str, str] = {}
        self.out: asyncio.Queue[Any] = asyncio.Queue()

    @property
    def node(self) -> Any:
        """The node of the first request."""
        return self.requests[0].node

    @property
    def errors(self) -> list[str]:
        """The texts of all NACKs."""
        return [request.error_detail.message for request in self.requests if request.HasField("error_detail")]


class AdsServer(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    """Serve the resources put into it. ``quiet``: (type, name) of what is never answered. ``credentials``: for TLS;
    ``listen``: a unix socket in place of a port."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None, listen: str = "") -> None:
        self._credentials = credentials
        self._listen = listen
        self.resources: dict[str, dict[str, Any]] = {CDS: {}, EDS: {}, RDS: {}}
        self.streams: list[Stream] = []
        self.live: list[Stream] = []
        self.quiet: set[tuple[str, str]] = set()
        self.port = 0
        self._version = 0
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._listen or f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(self, self._server)
        if self._credentials is None:
            self.port = self._server.add_insecure_port(self.address)
        else:
            self.port = self._server.add_secure_port(self.address, self._credentials)
        await self._server.start()

    async def stop(self) -> None:
        """End all streams and stop listening."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def end_streams(self) -> None:
        """End all streams with OK, as Istio does every half an hour."""
        for stream in self.live:
            stream.out.put_nowait(None)

    def put(self, *messages: Any) -> None:
        """Serve these from now on, and push them to who asked for them."""
        self._version += 1
        changed: dict[str, list[str]] = {}
        for message in messages:
            url = PREFIX + message.DESCRIPTOR.full_name
            name = message.cluster_name if url == EDS else message.name
            self.resources[url][name] = message
            changed.setdefault(url, []).append(name)
        for url in (CDS, EDS, RDS):
            if url in changed:
                self._push(url, changed[url])

    def delete(self, url: str, name: str) -> None:
        """Serve this no more, and say so."""
        self._version += 1
        del self.resources[url][name]
        self._push(url, [name])

    def _push(self, url: str, names: list[str]) -> None:
        for stream in self.live:
            asked = stream.names.get(url, [])
            hit = names if "*" in asked else [name for name in names if name in asked]
            if hit:
                self._answer(stream, url, hit)

    def _answer(self, stream: Stream, url: str, names: list[str]) -> None:
        names = [name for name in names if (url, name) not in self.quiet]
        held = self.resources.get(url, {})
        stream.nonces[url] = nonce = f"{self._version}.{len(stream.nonces)}.{stream.out.qsize()}.{id(names)}"
        if stream.delta:
            response: Any = discovery_pb2.DeltaDiscoveryResponse(
                type_url=url, nonce=nonce, system_version_info=str(self._version)
            )
            for name in names:
                if name in held:
                    response.resources.add(name=name).resource.Pack(held[name])
            response.removed_resources.extend(name for name in names if name not in held)
        else:
            if url == CDS:
                asked = stream.names[url]
                names = list(held) if "*" in asked else asked
            response = discovery_pb2.DiscoveryResponse(type_url=url, nonce=nonce, version_info=str(self._version))
            for name in names:
                if name in held:
                    response.resources.add().Pack(held[name])
        stream.out.put_nowait(response)

    def _on_sotw(self, stream: Stream, request: Any) -> None:
        url = request.type_url
        if request.response_nonce and request.response_nonce != stream.nonces.get(url):
            return
        before = stream.names.get(url, [])
        stream.names[url] = list(request.resource_names)
        added = [name for name in request.resource_names if name not in before or not request.response_nonce]
        if added or not request.response_nonce:
            self._answer(stream, url, added)

    def _on_delta(self, stream: Stream, request: Any) -> None:
        if request.response_nonce:
            return
        url = request.type_url
        names = stream.names.setdefault(url, [])
        names[:] = [name for name in names if name not in request.resource_names_unsubscribe]
        added = [name for name in request.resource_names_subscribe if name not in names]
        names.extend(added)
        if added:
            every = self.resources.get(url, {}) if "*" in added else added
            asked = dict.fromkeys([*every, *request.initial_resource_versions])
            self._answer(stream, url, [name for name in asked if name != "*"])

    async def _serve(self, requests: AsyncIterator[Any], metadata: Any, delta: bool) -> AsyncIterator[Any]:
        stream = Stream(delta, metadata)
        reader = asyncio.ensure_future(self._read(stream, requests))
        try:
            while (response := await stream.out.get()) is not None:
                yield response
        finally:
            reader.cancel()
            if stream in self.live:
                self.live.remove(stream)

    async def _read(self, stream: Stream, requests: AsyncIterator[Any]) -> None:
        async for request in requests:
            stream.requests.append(request)
            if len(stream.requests) == 1:
                self.streams.append(stream)
                self.live.append(stream)
            (self._on_delta if stream.delta else self._on_sotw)(stream, request)
        stream.out.put_nowait(None)

    async def StreamAggregatedResources(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for response in self._serve(request_iterator, context.invocation_metadata(), delta=False):
            yield response

    async def DeltaAggregatedResources(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for response in self._serve(request_iterator, context.invocation_metadata(), delta=True):
            yield response
