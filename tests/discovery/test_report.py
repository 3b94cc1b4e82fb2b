"""What is not obeyed is said once, again where it changes, and stays visible."""

from __future__ import annotations

import asyncio

from envoy.config.core.v3.base_pb2 import Metadata

from meshkit.discovery import Discovery, DiscoveryOptions, NodeIdentity
from meshkit.discovery.report import unobeyed
from meshkit.net import BackoffPolicy
from meshkit.xds.resources import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LbPolicy,
    LocalityEndpoints,
    PathMatch,
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)
from tests.support.ads_server import AdsServer, cluster, endpoints, routes
from tests.support.events import captured_events
from tests.support.waiting import until

NAME = "pkg.svc:80"
EVENT = "configuration that is not obeyed yet"
FAST = BackoffPolicy(0.02, 1.6, 0.2, 0.1)


def mirrored(cluster_name: str) -> object:
    message = routes(NAME, (cluster_name, 1))
    message.virtual_hosts[0].routes[0].route.request_mirror_policies.add(cluster="m")
    return message


async def test_once_and_only_for_what_is_used() -> None:
    used, unused = cluster("a"), cluster("unused")
    for message in (used, unused):
        message.per_connection_buffer_limit_bytes.value = 1
    with captured_events() as logs:
        async with AdsServer() as server:
            discovery = Discovery(DiscoveryOptions(server.address, NodeIdentity("c"), backoff=FAST))
            await discovery.start()
            server.put(used, unused, endpoints("a", "127.0.0.1:1"), mirrored("a"))
            watch = discovery.watch("pkg.Svc")
            await asyncio.wait_for(watch.cell.wait(lambda s: s.ready), 30)
            server.put(endpoints("a", "127.0.0.1:2"))
            await until(lambda: watch.cell.value.version == 2)
            server.end_streams()
            await until(lambda: len(server.streams) == 2 and len(server.streams[1].names) == 3)
            server.put(mirrored("a"), endpoints("a", "127.0.0.1:3"))
            await until(lambda: watch.cell.value.version == 3)
            again = mirrored("a")
            again.virtual_hosts[0].name = "another version"  # type: ignore[attr-defined]  # a protobuf message
            server.put(again)
            await until(lambda: watch.cell.value.version == 4)
            again.virtual_hosts[0].rate_limits.add()  # type: ignore[attr-defined]
            server.put(again)
            await until(lambda: len([entry for entry in logs if entry["event"] == EVENT]) == 3)
            seen = {figures.name: figures.unobeyed for figures in watch.statistics().resources}
            await discovery.close()
    told = [(entry["type"], entry["resource"], entry["fields"]) for entry in logs if entry["event"] == EVENT]
    mirror = {"virtual_hosts.routes.route.request_mirror_policies": 1}
    assert sorted(told, key=lambda one: (one[0], len(one[2]))) == [
        ("CDS", "a", {"per_connection_buffer_limit_bytes": 1}),
        ("RDS", NAME, mirror),
        ("RDS", NAME, mirror | {"virtual_hosts.rate_limits": 1}),
    ]
    assert all(entry["log_level"] == "warning" for entry in logs if entry["event"] == EVENT)
    assert seen[NAME] == mirror | {"virtual_hosts.rate_limits": 1}


def test_endpoints_that_want_mutual_tls_are_said_once_for_each_locality() -> None:
    wants = Metadata()
    wants.filter_metadata["envoy.transport_socket_match"]["tlsMode"] = "istio"
    encrypted = Endpoint("127.0.0.1:1", metadata=wants.SerializeToString())
    plain = LocalityEndpoints((Endpoint("127.0.0.1:2"),))
    groups = (LocalityEndpoints((encrypted, encrypted)), plain, LocalityEndpoints(()))
    path = "endpoints.lb_endpoints.metadata.tlsMode[istio]"
    assert unobeyed(ClusterLoadAssignment("c", groups, unobeyed={"x": 1})) == {"x": 1, path: 1}
    assert unobeyed(ClusterLoadAssignment("c", (plain,))) == {}


def test_policies_and_retry_words_without_effect() -> None:
    assert unobeyed(Cluster("c", ClusterType.EDS, lb=LbPolicy("NOBODY"), unobeyed={"x": 1})) == {
        "x": 1,
        "lb_policy[NOBODY]": 1,
    }
    assert unobeyed(Cluster("c", ClusterType.EDS)) == {}
    retry = RetryPolicy(frozenset({"unavailable", "solar-flare"}))
    route = Route(PathMatch(StringMatch.PREFIX, "/"), RouteAction((WeightedCluster("c", 1),), retry=retry))
    config = RouteConfiguration("r", (VirtualHost("h", ("*",), (route, route), retry),))
    assert unobeyed(config) == {"virtual_hosts.routes.route.retry_policy.retry_on[solar-flare]": 3}
