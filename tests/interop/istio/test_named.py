"""What Istio's resources ask for and we do not do: named once and by its field, and calls go on as if it were not."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

import pytest

from tests.support.events import captured_events
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import (
    DELTA,
    HOST,
    LIGHT,
    both,
    destination_rule,
    greeters,
    kubernetes,
    member,
    routes,
    service_entry,
    settle,
    under_load,
    until_fails,
    virtual_service,
)
from tests.support.istiod import Istiod
from tests.support.waiting import until

pytestmark = pytest.mark.interop

_NAMES = {"127.0.0.11": "v1", "127.0.0.12": "v2"}
_PODS = {address: {"version": name} for address, name in _NAMES.items()}
_SUBSETS = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}
_ANY: dict[str, Any] = {"route": [{"destination": {"host": HOST}}]}
_ROUTE, _FILTERS = "virtual_hosts.routes", "virtual_hosts.routes.typed_per_filter_config"
_ALL = {"percentage": {"value": 100}}
_HASH = {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}}


def named(events: Iterable[MutableMapping[str, Any]]) -> list[str]:
    """The fields that warnings name, and warnings that name none."""
    warnings = [event for event in events if event["log_level"] == "warning"]
    return sorted(field for event in warnings for field in event.get("fields", {event["event"]: 1}))


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        pytest.param({"fault": {"abort": {**_ALL, "httpStatus": 500}}}, [f"{_FILTERS}[envoy.filters.http.fault]"]),
        pytest.param({"fault": {"delay": {**_ALL, "fixedDelay": "9s"}}}, [f"{_FILTERS}[envoy.filters.http.fault]"]),
        pytest.param({"mirror": {"host": HOST}}, [f"{_ROUTE}.route.request_mirror_policies"]),
        pytest.param({"rewrite": {"uri": "/x"}}, [f"{_ROUTE}.route.prefix_rewrite"]),
        pytest.param({"headers": {"request": {"set": {"a": "b"}}}}, [f"{_ROUTE}.request_headers_to_add"]),
    ],
    ids=["abort", "delay", "mirror", "rewrite", "headers"],
)
@both("VirtualService: faults, mirrors, rewrites, header changes are named, not obeyed")
async def test_parts_of_a_rule_that_are_not_obeyed(istiod: Istiod, mode: Any, rule: Any, fields: list[str]) -> None:
    async with greeters(_NAMES) as port, member(istiod, mode) as mesh:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        client = GreeterClient(mesh)
        await settle(client, {"v1", "v2"})
        with captured_events() as events:
            async with under_load(client) as failures:
                await istiod.apply("rule", virtual_service(_ANY | rule))
                await until(lambda: bool(named(events)))
                await settle(client, {"v1", "v2"})
        assert (named(events), failures) == (fields, [])


@both("DestinationRule: consistentHash is named once, not obeyed")
async def test_a_policy_that_is_not_obeyed_is_named_once(istiod: Istiod, mode: Any) -> None:
    """Endpoints that come and go make the picker anew, which is no reason to say it again."""
    async with greeters(_NAMES) as port, member(istiod, mode) as mesh:
        await istiod.apply("rule", destination_rule(**_HASH))
        client = GreeterClient(mesh)
        with captured_events() as events:
            for pods in (_PODS, {"127.0.0.12": {}}, _PODS, {"127.0.0.11": {}}):
                await istiod.apply("greeter", *kubernetes("greeter", pods, port))
                await settle(client, {_NAMES[address] for address in pods})
        assert named(events) == ["lb_policy[RING_HASH]", f"{_ROUTE}.route.hash_policy"]


_BROKEN_DOWN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "outlierDetection": ({"outlierDetection": {"consecutive5xxErrors": 3}}, ["outlier_detection"]),
    "connectionPool": ({"connectionPool": {"http": {"http2MaxRequests": 9}}}, ["circuit_breakers"]),
    "tls": ({"tls": {"mode": "ISTIO_MUTUAL"}}, ["transport_socket"]),
    "warmup": (
        {"loadBalancer": {"simple": "ROUND_ROBIN", "warmup": {"duration": "9s"}}},
        ["round_robin_lb_config.slow_start_config"],
    ),
    "proxyProtocol": (
        {"proxyProtocol": {"version": "V2"}},
        ["transport_socket_matches.transport_socket[envoy.transport_sockets.upstream_proxy_protocol]"],
    ),
}


@pytest.mark.parametrize(("policy", "fields"), _BROKEN_DOWN.values(), ids=_BROKEN_DOWN)
@pytest.mark.capability("DestinationRule: policies that are not obeyed are named", peer="istiod delta")
async def test_policies_that_are_not_obeyed(istiod: Istiod, policy: Any, fields: list[str]) -> None:
    async with greeters(_NAMES) as port, member(istiod) as mesh:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        client = GreeterClient(mesh)
        await settle(client, {"v1", "v2"})
        with captured_events() as events:
            async with under_load(client) as failures:
                await istiod.apply("rule", destination_rule(**policy))
                await until(lambda: bool(named(events)))
                await settle(client, {"v1", "v2"})
        assert (named(events), failures) == (fields, [])


@pytest.mark.parametrize("simple", ["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"])
@both("DestinationRule: simple policies, of a subset and of a domain too")
async def test_simple_policies_say_nothing(istiod: Istiod, mode: Any, simple: str) -> None:
    wild = destination_rule(f"*.{HOST.partition('.')[2]}", _SUBSETS, loadBalancer={"simple": simple})
    wild["metadata"]["name"] = "wild"
    wild["spec"]["subsets"][1]["trafficPolicy"] = {"loadBalancer": {"simple": simple}}
    with captured_events() as events:
        async with greeters(_NAMES) as port, member(istiod, mode) as mesh:
            await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
            await istiod.apply("rules", wild, virtual_service(routes({"v1": 50, "v2": 50})))
            await settle(GreeterClient(mesh), {"v1", "v2"})
    assert named(events) == []


@pytest.mark.parametrize("mode", [DELTA, LIGHT], ids=["delta", "grpc/SotW"])
async def test_a_redirect_is_the_answer(istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, member(istiod, mode) as mesh:
        await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
        await istiod.apply("rule", virtual_service({"redirect": {"uri": "/x", "authority": "y"}}))
        await until_fails(GreeterClient(mesh), "UNAVAILABLE: route '.*' redirects .*cannot follow a redirect")


@pytest.mark.capability("ServiceEntry, resolution NONE: what to write instead is said", peer="istiod delta")
async def test_a_service_entry_that_only_a_proxy_can_serve(istiod: Istiod) -> None:
    async with greeters(_NAMES) as port, member(istiod, wait=0.5) as mesh:
        await istiod.apply("greeter", service_entry(HOST, {}, port, resolution="NONE"))
        client = GreeterClient(mesh)
        await until_fails(client, r"\(ORIGINAL_DST\), which nothing here knows: give its ServiceEntry resolution")
        await istiod.apply("greeter", service_entry(HOST, {"127.0.0.11": {}}, port))
        await settle(client, {"v1"})


async def test_a_resolver_that_is_always_named_is_no_news(istiod: Istiod) -> None:
    """Istio puts the same one into each DNS cluster."""

    async def resolve(host: str) -> list[str]:
        return ["127.0.0.11"]

    with captured_events() as events:
        async with greeters(_NAMES) as port, member(istiod, resolver=resolve) as mesh:
            entry = service_entry(HOST, {"one.example": {}}, port, resolution="DNS")
            await istiod.apply("greeter", entry)
            await settle(GreeterClient(mesh), {"v1"})
    assert named(events) == []
