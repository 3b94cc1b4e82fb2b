"""Traffic rules of a real istiod, written and changed while calls run: who is called, and that none fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, pairwise
from typing import Any

import pytest

from meshkit.errors import DeadlineExceeded, Unavailable
from meshkit.rpc import Context
from tests.support.gen.helloworld.v1 import HelloReply, HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterBase, GreeterClient
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
    settle_share,
    sidecar,
    under_load,
    until_fails,
    virtual_service,
)
from tests.support.istiod import Istiod
from tests.support.waiting import until

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
            await settle_share(client, "v2", 0.3)
            await istiod.apply("rule", virtual_service(routes({"v2": 1})))
            await settle(client, {"v2"})
            await istiod.delete("rule")
            await settle(client, {"v1", "v2"})
        assert failures == []


@both("VirtualService: gRPC method")
async def test_a_rule_for_one_method_leaves_the_others_alone(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode) as client:
        other = {"match": [{"uri": {"exact": "/helloworld.v1.Greeter/Other"}}]}
        mine = {"match": [{"uri": {"prefix": "/helloworld.v1.Greeter/"}}]}
        await istiod.apply("rule", virtual_service(routes({"v1": 1}, **other), routes({"v2": 1}, **mine)))
        await settle(client, {"v2"})


@both("VirtualService: wildcard host")
async def test_a_rule_for_all_hosts_of_a_domain(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode) as client:
        await istiod.apply("rule", virtual_service(routes({"v2": 1}), host=f"*.{HOST.partition('.')[2]}"))
        await settle(client, {"v2"})
        await istiod.apply("narrower", virtual_service(routes({"v1": 1})))
        await settle(client, {"v1"})


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


class _Moody(GreeterBase):
    """Refuses the first attempt of every call, and takes its time for who asks it to."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    async def say_hello(self, request: HelloRequest, ctx: Context, /) -> HelloReply:
        if request.name == "slow":
            await asyncio.sleep(30)
        elif request.name not in self.seen:
            self.seen.add(request.name)
            raise Unavailable("not in the mood")
        return HelloReply(message="moody")


@both("VirtualService: timeout")
async def test_the_timeout_of_a_rule_ends_a_call(istiod: Istiod, mode: Any) -> None:
    destination = {"route": [{"destination": {"host": HOST}}]}
    async with greeters({"127.0.0.11": _Moody()}) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.11": {}}, port))
        await istiod.apply("rule", virtual_service(destination | {"timeout": "0.2s"}))
        async with asyncio.timeout(60):
            while True:
                started = time.monotonic()
                with pytest.raises(DeadlineExceeded):
                    await client.say_hello(HelloRequest(name="slow"), timeout=5)
                if time.monotonic() - started < 4:  # the rule's time, not the caller's
                    break


@both("VirtualService: retries")
async def test_the_retries_of_a_rule(istiod: Istiod, mode: Any) -> None:
    destination = {"route": [{"destination": {"host": HOST}}]}
    retries = {"retries": {"attempts": 2, "retryOn": "unavailable"}}
    unless = {"retries": {"attempts": 2, "retryOn": "cancelled"}}
    async with greeters({"127.0.0.11": _Moody()}) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.11": {}}, port))
        await istiod.apply("rule", virtual_service(destination | unless))
        await until(partial(_refused, client, count(), True))
        await istiod.apply("rule", virtual_service(destination | retries))
        await until(partial(_refused, client, count(1000), False))


async def _refused(client: GreeterClient, names: Iterator[int], wanted: bool) -> bool:
    """Whether ten calls, each by a name of its own, all end so."""
    ends = set[bool]()
    for _ in range(10):
        try:
            await client.say_hello(HelloRequest(name=str(next(names))), timeout=30)
            ends.add(False)
        except Unavailable:
            ends.add(True)
    return ends == {wanted}


async def _in_turn(client: GreeterClient) -> bool:
    """Whether calls, one by one, go to two endpoints in turn, as round robin has it and nothing else."""
    names = [(await client.say_hello(HelloRequest(name="Ada"), timeout=30)).message for _ in range(40)]
    return all(one != other for one, other in pairwise(names))


@both("DestinationRule: portLevelSettings")
async def test_the_policy_of_a_port_wins_over_that_of_all(istiod: Istiod, mode: Any) -> None:
    turns, dice = ({"loadBalancer": {"simple": simple}} for simple in ("ROUND_ROBIN", "LEAST_REQUEST"))
    async with _versions(istiod, mode) as client:
        await istiod.apply("subsets", _of_port(80, turns, dice))
        await until(lambda: _in_turn(client))
        await istiod.apply("subsets", _of_port(80, dice, turns))
        await until(lambda: _not(_in_turn(client)))
        await istiod.apply("subsets", _of_port(81, dice, turns))
        await until(lambda: _in_turn(client))


def _of_port(number: int, of_port: Any, of_all: Any) -> Any:
    return destination_rule(portLevelSettings=[{"port": {"number": number}, **of_port}], **of_all)


async def _not(found: Awaitable[bool]) -> bool:
    return not await found


@both("Services of other namespaces, exportTo")
async def test_a_service_of_another_namespace_as_far_as_it_is_exported(istiod: Istiod, mode: Any) -> None:
    there = {"helloworld.v1.Greeter": "far.other.svc.cluster.local:80"}
    async with greeters({"127.0.0.13": "far"}) as port, caller(istiod, mode, interfaces=there, wait=0.5) as client:
        objects = kubernetes("far", {"127.0.0.13": {}}, port, namespace="other")
        await istiod.apply("far", *objects)
        await settle(client, {"far"})
        objects[0]["metadata"]["annotations"] = {"networking.istio.io/exportTo": "."}
        await istiod.apply("far", *objects)
        await until_fails(client, r"nobody provides .*far\.other")


@both("subset that nobody defines")
async def test_a_route_to_a_subset_without_a_rule_fails_its_calls_only(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode, wait=1.0) as client:
        await istiod.apply("rule", virtual_service(routes({"v3": 1}, **_ADMIN), routes({"v1": 1})))
        await settle(client, {"v1"})
        said = rf"no endpoint for /.*SayHello: .*outbound\|80\|v3\|{HOST}: .*; define subset v3 in a DestinationRule of"
        await until_fails(client, said, metadata={"user": "admin"})
        await settle(client, {"v1"})
        more = {"v1": {"version": "v1"}, "v2": {"version": "v2"}, "v3": {"version": "v2"}}
        await istiod.apply("subsets", destination_rule(subsets=more))
        await settle(client, {"v2"}, metadata={"user": "admin"})


@both("route to a host that does not exist")
async def test_a_route_to_a_host_that_is_not_there_names_it(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode, wait=1.0) as client:
        nowhere = {"route": [{"destination": {"host": f"nosuch.{HOST.partition('.')[2]}"}}]}
        await istiod.apply("rule", virtual_service(nowhere | _ADMIN, routes({"v1": 1})))
        await settle(client, {"v1"})
        said = r"no endpoint for /.*SayHello: .*there is no Service or ServiceEntry nosuch\.demo\.svc\S* with port 80"
        await until_fails(client, said, metadata={"user": "admin"})


@both("no workload of a subset is ready")
async def test_calls_to_unready_workloads_say_so_and_wait_for_them(istiod: Istiod, mode: Any) -> None:
    pods, ada = {"127.0.0.11": {"version": "v1"}, "127.0.0.12": {"version": "v2"}}, HelloRequest(name="Ada")
    async with (
        greeters({"127.0.0.11": "v1", "127.0.0.12": "v2"}) as port,
        caller(istiod, mode, wait=1.0) as client,
        caller(istiod, mode, wait=30.0) as patient,
    ):
        # Ready at first: istiod never looks again at an unready pod whose EndpointSlice it met before the pod.
        await istiod.apply("greeter", *kubernetes("greeter", pods, port))
        await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v1": 1})))
        await settle(client, {"v1"})
        await istiod.apply("greeter", *kubernetes("greeter", pods, port, unready=["127.0.0.11"]))
        await until_fails(
            client, rf"outbound\|80\|v1\|{HOST} has no endpoint but 1 UNHEALTHY; see .* labels of subset v1"
        )
        async with asyncio.TaskGroup() as group:
            early = [group.create_task(patient.say_hello(ada)) for _ in range(5)]
            await asyncio.sleep(0.1)
            await istiod.apply("greeter", *kubernetes("greeter", pods, port))
        assert {task.result().message for task in early} == {"v1"}


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
        await settle_share(client, "green", 0.4)
        await istiod.apply("route", gateway_route(kind, ({"blue": 1}, {})))
        await settle(client, {"blue"})


@both("GRPCRoute by method")
async def test_a_grpc_route_matches_methods(istiod: Istiod, mode: Any) -> None:
    async with _versions(istiod, mode) as client, greeters({"127.0.0.13": "blue"}) as port:
        await istiod.apply("blue", *kubernetes("blue", {"127.0.0.13": {}}, port))
        method = {"method": {"type": "Exact", "service": "helloworld.v1.Greeter", "method": "SayHello"}}
        await istiod.apply("route", gateway_route("GRPCRoute", ({"blue": 1}, method)))
        await settle(client, {"blue"})
