"""Calls through a real istiod: how services may be written down, and who is called then."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.gen.helloworld.v1 import HelloRequest
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
    until_fails,
    virtual_service,
    workload_entry,
)
from tests.support.istiod import Istiod

pytestmark = pytest.mark.interop

_TWO = {"127.0.0.11": "one", "127.0.0.12": "two"}
_PODS = {"127.0.0.11": {"version": "v1"}, "127.0.0.12": {"version": "v2"}}


@both("Kubernetes Service, Pods, EndpointSlice")
async def test_pods_of_a_kubernetes_service(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await settle(client, {"one", "two"})
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.12": {}}, port))
        await settle(client, {"two"})


@both("ServiceEntry, resolution STATIC")
async def test_endpoints_of_a_service_entry(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", service_entry(HOST, {"127.0.0.11": {}}, port))
        await settle(client, {"one"})
        await istiod.apply("greeter", service_entry(HOST, {"127.0.0.11": {}, "127.0.0.12": {}}, port))
        await settle(client, {"one", "two"})


@both("subsets by labels")
async def test_subsets_by_labels_and_weights(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("subsets", destination_rule(subsets={"v1": {"version": "v1"}, "v2": {"version": "v2"}}))
        await istiod.apply("rule", virtual_service(routes({"v1": 80, "v2": 20})))
        await settle(client, {"one", "two"}, 200)
        await settle_share(client, "two", 0.2)


@both("ServiceEntry of several hosts and ports")
async def test_hosts_of_one_service_entry_share_its_endpoints(istiod: Istiod, mode: Any) -> None:
    hosts = [HOST, "greeter.example", "hello.example"]
    ports = [{"number": number, "name": f"grpc-{number}", "protocol": "GRPC"} for number in (80, 81)]
    async with greeters(_TWO) as port, AsyncExitStack() as stack:
        for each in ports:
            each["targetPort"] = port
        places = {"helloworld.v1.Greeter": "hello.example:81"}, {"helloworld.v1.Greeter": "greeter.example:80"}
        second, third = [await stack.enter_async_context(caller(istiod, mode, interfaces=place)) for place in places]
        first = await stack.enter_async_context(caller(istiod, mode))
        entry = service_entry(HOST, {"127.0.0.11": {}}, port, hosts=hosts, ports=ports)
        await istiod.apply("greeter", entry)
        for client in (first, second, third):
            await settle(client, {"one"})
        entry["spec"]["endpoints"].append({"address": "127.0.0.12"})
        await istiod.apply("greeter", entry)
        for client in (first, second, third):
            await settle(client, {"one", "two"})
        entry["spec"]["endpoints"] = [{"address": "127.0.0.12"}]
        await istiod.apply("greeter", entry)
        nobody = {"directResponse": {"status": 403}}
        await istiod.apply("routes", virtual_service(nobody, host="greeter.example"))
        await until_fails(third, "PERMISSION_DENIED")
        await settle(first, {"two"})
        await settle(second, {"two"})


@both("Kubernetes Service with unready pods")
async def test_a_pod_that_is_not_ready_is_not_called(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port, unready=["127.0.0.11"]))
        await settle(client, {"two"})
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await settle(client, {"one", "two"})


@both("WorkloadEntry behind a ServiceEntry")
async def test_workload_entries_that_a_service_entry_selects(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        selecting = service_entry(HOST, {}, port, workloadSelector={"labels": {"app": "greeter"}})
        await istiod.apply("greeter", selecting, workload_entry("127.0.0.11"))
        await settle(client, {"one"})
        await istiod.apply("greeter", selecting, workload_entry("127.0.0.11"), workload_entry("127.0.0.12"))
        await settle(client, {"one", "two"})


@both("WorkloadEntry behind a Kubernetes Service")
async def test_a_workload_entry_that_a_kubernetes_service_selects(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        pods = {"127.0.0.11": {"version": "v1"}}
        await istiod.apply("greeter", *kubernetes("greeter", pods, port), workload_entry("127.0.0.12"))
        await settle(client, {"one", "two"})


@both("headless Service")
async def test_a_headless_service(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port, spec={"clusterIP": "None"}))
        await settle(client, {"one", "two"})
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.12": {}}, port, spec={"clusterIP": "None"}))
        await settle(client, {"two"})


@both("port of a sniffed protocol")
async def test_a_port_whose_protocol_istio_sniffs(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port, ports=[{"name": "tri", "port": 80}]))
        await istiod.apply("subsets", destination_rule(subsets={"v2": {"version": "v2"}}))
        await istiod.apply("rule", virtual_service(routes({"v2": 1})))
        await settle(client, {"two"})


@both("tcp port, which has no routes")
async def test_a_tcp_port_has_no_routes_but_a_cluster(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port, ports=[{"name": "tcp-dubbo", "port": 80}]))
        await settle(client, {"one", "two"})


@both("port that changes its protocol")
async def test_a_tcp_port_that_becomes_grpc_gets_its_routes(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client:
        await istiod.apply("subsets", destination_rule(subsets={"v2": {"version": "v2"}}))
        await istiod.apply("rule", virtual_service(routes({"v2": 1})))
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port, ports=[{"name": "tcp-dubbo", "port": 80}]))
        await settle(client, {"one", "two"})
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await settle(client, {"two"})


@both("several ports of one Service")
async def test_two_ports_of_a_service_share_their_endpoints(istiod: Istiod, mode: Any) -> None:
    ports = [{"name": "grpc-a", "port": 80}, {"name": "grpc-b", "port": 9090}]
    other = {"helloworld.v1.Greeter": f"{HOST}:9090"}
    async with greeters(_TWO) as port, caller(istiod, mode) as first, caller(istiod, mode, interfaces=other) as second:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port, ports=ports))
        await settle(first, {"one", "two"})
        await settle(second, {"one", "two"})


@pytest.mark.parametrize("name", ["greeter:80", "greeter.demo:80"])
@both("short names of Services")
async def test_a_short_name_is_completed_by_istio(istiod: Istiod, mode: Any, name: str) -> None:
    short = {"helloworld.v1.Greeter": name}
    async with greeters(_TWO) as port, caller(istiod, mode, interfaces=short) as client:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await settle(client, {"one", "two"})


@both("Service deleted and created again")
async def test_a_deleted_service_is_said_to_be_absent_until_it_returns(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode, wait=0.2) as client:
        objects = kubernetes("greeter", _PODS, port)
        await istiod.apply("greeter", *objects)
        await settle(client, {"one", "two"})
        await istiod.delete("greeter")
        await until_fails(client, r"nobody provides helloworld.v1.Greeter: .*greeter\.demo\.svc")
        await istiod.apply("greeter", *objects)
        await settle(client, {"one", "two"})


@both("Service that comes after its callers")
async def test_a_call_waits_for_a_service_that_is_not_there_yet(istiod: Istiod, mode: Any) -> None:
    async with greeters(_TWO) as port, caller(istiod, mode) as client, asyncio.TaskGroup() as group:
        early = group.create_task(client.say_hello(HelloRequest(name="Ada"), timeout=60))
        await asyncio.sleep(0.3)
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        assert (await early).message in {"one", "two"}
