"""Traffic rules of a real istiod, written and changed while calls run: who is called, and that none fails."""

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
    gateway_route,
    greeters,
    kubernetes,
    routes,
    settle,
    sidecar,
    under_load,
    until_fails,
    virtual_service,
)
from tests.support.istiod import Istiod
from tests.support.world import who_answers, within

pytestmark = pytest.mark.interop

_SUBSETS = destination_rule(subsets={"v1": {"version": "v1"}, "v2": {"version": "v2"}})
_ADMIN = {"match": [{"headers": {"user": {"exact": "admin"}}}]}


@asynccontextmanager
async def _versions(istiod: Istiod, mode: Any, **settings: Any) -> AsyncIterator[GreeterClient]:
    """A client and the versions v1 and v2 of the greeter, as subsets."""
    pods = {"127.0.0.11": {"version": "v1"}, "127.0.0.12": {"version": "v2"}}
    async with greeters({"127.0.0.11": "v1", "127.0.0.12": "v2"}) as port, caller(istiod, mode, **settings) as client:
        await istiod.apply("greeter", *kubernetes("greeter", pods, port))
        await istiod.apply("subsets", _SUBSETS)
        yield client


@both("VirtualService: headers and weights, live")
async def test_headers_and_weights_change_while_calls_run(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode) as client:
        await istiod.apply("rule", virtual_service(routes({"v1": 1})))
        await settle(client, {"v1"})
        async with under_load(client) as failures:
            await istiod.apply("rule", virtual_service(routes({"v2": 1}, **_ADMIN), routes({"v1": 70, "v2": 30})))
            await settle(client, {"v2"}, metadata={"user": "admin"})
            await settle(client, {"v1", "v2"}, 100, metadata={"user": "eve"})
            answers = await who_answers(client, 1000)
            await istiod.apply("rule", virtual_service(routes({"v2": 1})))
            await settle(client, {"v2"})
            await istiod.delete("rule")
            await settle(client, {"v1", "v2"})
        assert within(answers["v2"] / 1000, 0.3, 1000, 4)
        assert failures == []


@both("VirtualService: gRPC method")
async def test_a_rule_for_one_method_leaves_the_others_alone(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode) as client:
        other = {"match": [{"uri": {"exact": "/helloworld.v1.Greeter/Other"}}]}
        mine = {"match": [{"uri": {"prefix": "/helloworld.v1.Greeter/"}}]}
        await istiod.apply("rule", virtual_service(routes({"v1": 1}, **other), routes({"v2": 1}, **mine)))
        await settle(client, {"v2"})


@both("VirtualService: labels of the caller")
async def test_a_rule_for_callers_with_a_label(istiod: Istiod, mode: Any) -> None:
    rule = virtual_service(routes({"v2": 1}, match=[{"sourceLabels": {"team": "a"}}]), routes({"v1": 1}))
    async with _versions(istiod, mode, labels={"team": "a"}) as ours, caller(istiod, mode) as theirs:
        await istiod.apply("rule", rule)
        await settle(ours, {"v2"})
        await settle(theirs, {"v1"})


@both("VirtualService: direct response")
async def test_a_direct_response_is_the_answer(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode) as client:
        await settle(client, {"v1", "v2"})
        await istiod.apply("rule", virtual_service({"directResponse": {"status": 403, "body": {"string": "closed"}}}))
        await until_fails(client, "PERMISSION_DENIED: closed")


@both("subset that nobody defines")
async def test_a_route_to_a_subset_without_a_rule_fails_its_calls_only(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode, wait=2.0) as client:
        await istiod.apply("rule", virtual_service(routes({"v3": 1}, **_ADMIN), routes({"v1": 1})))
        await settle(client, {"v1"})
        await until_fails(client, r"outbound\|80\|v3\|greeter", metadata={"user": "admin"})
        await settle(client, {"v1"})


@both("Sidecar scoping")
async def test_a_sidecar_resource_scopes_what_is_seen(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode, wait=0.5) as client:
        await settle(client, {"v1", "v2"})
        await istiod.apply("scope", sidecar("./other.demo.svc.cluster.local"))
        await until_fails(client, "nobody provides helloworld.v1.Greeter")
        await istiod.apply("scope", sidecar(f"./{HOST}"))
        await settle(client, {"v1", "v2"})


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
@both("HTTPRoute and GRPCRoute of a Service")
async def test_routes_of_the_gateway_api(istiod: Istiod, mode: Any, kind: str) -> None:
    backends = {"127.0.0.13": "blue", "127.0.0.14": "green"}
    async with _versions(istiod, mode) as client, greeters(backends) as port:
        for address, name in backends.items():
            await istiod.apply(name, *kubernetes(name, {address: {}}, port))
        admins = {"headers": [{"type": "Exact", "name": "user", "value": "admin"}]}
        await istiod.apply("route", gateway_route(kind, ({"green": 1}, admins), ({"blue": 60, "green": 40}, {})))
        await settle(client, {"green"}, metadata={"user": "admin"})
        await settle(client, {"blue", "green"}, 100)
        answers = await who_answers(client, 1000)
        assert within(answers["green"] / 1000, 0.4, 1000, 4)
        await istiod.apply("route", gateway_route(kind, ({"blue": 1}, {})))
        await settle(client, {"blue"})


@both("GRPCRoute by method")
async def test_a_grpc_route_matches_methods(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode) as client, greeters({"127.0.0.13": "blue"}) as port:
        await istiod.apply("blue", *kubernetes("blue", {"127.0.0.13": {}}, port))
        method = {"method": {"type": "Exact", "service": "helloworld.v1.Greeter", "method": "SayHello"}}
        await istiod.apply("route", gateway_route("GRPCRoute", ({"blue": 1}, method)))
        await settle(client, {"blue"})
