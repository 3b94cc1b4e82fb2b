"""An interface found by its own name: a VirtualService or a ServiceEntry whose host is the interface, lower-cased."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import (
    HOST,
    both,
    caller,
    destination_rule,
    greeters,
    kubernetes,
    routes,
    service_entry,
    settle,
    settle_share,
    under_load,
    until_fails,
    virtual_service,
)
from tests.support.istiod import Istiod

pytestmark = pytest.mark.interop

_INTERFACE = "helloworld.v1.greeter"
_VERSIONS = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}
_PODS = {"127.0.0.11": {"version": "v1"}, "127.0.0.12": {"version": "v2"}}
_ADMIN = {"match": [{"headers": {"user": {"exact": "admin"}}}]}


@asynccontextmanager
async def _world(istiod: Istiod, mode: Any) -> AsyncIterator[tuple[GreeterClient, int]]:
    """A client that nobody told where the interface lives, a service of two versions, and the port of its pods."""
    versions = {"127.0.0.11": "v1", "127.0.0.12": "v2"}
    async with greeters(versions) as port, caller(istiod, mode, interfaces={}, wait=2.0) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("subsets", destination_rule(subsets=_VERSIONS))
        yield client, port


def _at_port(route: dict[str, Any], port: int = 80) -> dict[str, Any]:
    """A route whose destinations name their port: the interface's own host has none to take."""
    for share in route["route"]:
        share["destination"]["port"] = {"number": port}
    return route


@both("interface as host of a VirtualService, live weights and headers")
async def test_a_virtual_service_says_where_an_interface_lives(istiod: Istiod, mode: Any) -> None:
    async with _world(istiod, mode) as (client, _):
        await istiod.apply("interface", virtual_service(_at_port(routes({"v1": 1})), host=_INTERFACE))
        await settle(client, {"v1"})
        async with under_load(client) as failures:
            admins, others = _at_port(routes({"v2": 1}, **_ADMIN)), _at_port(routes({"v1": 80, "v2": 20}))
            await istiod.apply("interface", virtual_service(admins, others, host=_INTERFACE))
            await settle(client, {"v2"}, metadata={"user": "admin"})
            await settle(client, {"v1", "v2"}, 100)
            await settle_share(client, "v2", 0.2)
            await istiod.apply("interface", virtual_service(_at_port(routes({"v2": 1})), host=_INTERFACE))
            await settle(client, {"v2"})
        assert failures == []


@both("interface moved to another Service by its VirtualService")
async def test_an_interface_moves_between_services_without_a_failed_call(istiod: Istiod, mode: Any) -> None:
    async with _world(istiod, mode) as (client, _), greeters({"127.0.0.13": "blue"}) as port:
        await istiod.apply("blue", *kubernetes("blue", {"127.0.0.13": {}}, port))
        blue = {"route": [{"destination": {"host": "blue.demo.svc.cluster.local", "port": {"number": 80}}}]}
        await istiod.apply("interface", virtual_service(_at_port(routes({"v1": 1})), host=_INTERFACE))
        await settle(client, {"v1"})
        async with under_load(client) as failures:
            await istiod.apply("interface", virtual_service(blue, host=_INTERFACE))
            await settle(client, {"blue"})
        assert failures == []
        await istiod.delete("interface")
        await until_fails(client, f"nobody provides helloworld.v1.Greeter: .*{_INTERFACE}")


@both("interface as host of a ServiceEntry, with its own rules")
async def test_a_service_entry_is_the_interface(istiod: Istiod, mode: Any) -> None:
    async with _world(istiod, mode) as (client, port):
        entry = service_entry(_INTERFACE, {}, port, workloadSelector={"labels": {"app": "greeter"}})
        await istiod.apply("entry", entry)  # it picks the pods of the service
        await settle(client, {"v1", "v2"})
        async with under_load(client) as failures:
            await istiod.apply("rules", destination_rule(_INTERFACE, _VERSIONS))
            rule = virtual_service(
                routes({"v2": 1}, _INTERFACE, **_ADMIN), routes({"v1": 1}, _INTERFACE), host=_INTERFACE
            )
            await istiod.apply("interface", rule)
            await settle(client, {"v1"})
            await settle(client, {"v2"}, metadata={"user": "admin"})
            await istiod.delete("interface")
            await settle(client, {"v1", "v2"})
        assert failures == []


@both("interfaces map wins over the interface's own host")
async def test_the_configured_place_is_asked_first(istiod: Istiod, mode: Any) -> None:
    async with _world(istiod, mode) as (client, _), caller(istiod, mode) as told:
        await istiod.apply("interface", virtual_service(_at_port(routes({"v1": 1})), host=_INTERFACE))
        await istiod.apply("rule", virtual_service(routes({"v2": 1}), host=HOST))
        await settle(client, {"v1"})
        await settle(told, {"v2"})
