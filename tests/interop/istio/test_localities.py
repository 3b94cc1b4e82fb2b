"""Localities as a real istiod computes them for the caller: priorities, failover, weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.istio_world import (
    CLIENT,
    HOST,
    both,
    caller,
    destination_rule,
    greeters,
    kubernetes,
    node,
    service_entry,
    settle,
    settle_share,
    under_load,
)
from tests.support.istiod import Istiod
from tests.support.waiting import until
from tests.support.world import who_answers

pytestmark = pytest.mark.interop

_PLACES = {"127.0.0.11": "near", "127.0.0.12": "region", "127.0.0.13": "far"}
_LOCALITIES = {"127.0.0.11": "r1/z1", "127.0.0.12": "r1/z2", "127.0.0.13": "r2/z1"}
_HERE = {"labels": {"topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": "z1"}}
_OUTLIERS: Mapping[str, Any] = {"outlierDetection": {"consecutive5xxErrors": 5}}


def _entry(port: int, *addresses: str) -> Any:
    return service_entry(HOST, {address: {"locality": _LOCALITIES[address]} for address in addresses}, port)


@both("locality failover by priority")
async def test_the_nearest_place_that_has_endpoints_is_called(istiod: Istiod, mode: Any) -> None:
    async with greeters(_PLACES) as port, caller(istiod, mode, **_HERE) as client:
        await istiod.apply("rule", destination_rule(**_OUTLIERS))
        await istiod.apply("greeter", _entry(port, *_PLACES))
        await settle(client, {"near"})
        async with under_load(client) as failures:
            await istiod.apply("greeter", _entry(port, "127.0.0.12", "127.0.0.13"))
            await settle(client, {"region"})
            await istiod.apply("greeter", _entry(port, "127.0.0.13"))
            await settle(client, {"far"})
            await istiod.apply("greeter", _entry(port, *_PLACES))
            await settle(client, {"near"})
        assert failures == []


@both("locality of the caller from its Pod's Node")
async def test_a_caller_that_is_a_pod_is_where_its_node_is(
    istiod: Istiod, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller says nothing of its place: istiod finds its Pod by the name that the downward API gives."""
    callers = kubernetes("caller", {CLIENT: {"node": "here"}}, 1)
    monkeypatch.setenv("POD_NAME", callers[1]["metadata"]["name"])
    async with greeters(_PLACES) as port:
        await istiod.apply("callers", node("here", "r2/z1"), *callers)
        await istiod.apply("rule", destination_rule(**_OUTLIERS))
        await istiod.apply("greeter", _entry(port, *_PLACES))

        async def far() -> bool:
            """istiod looks for the Pod when a stream begins, and what was applied it knows a moment later."""
            async with caller(istiod, mode) as client:
                return set(await who_answers(client, 30)) == {"far"}

        await until(far)


@both("priority 0 with UNHEALTHY endpoints only")
async def test_a_place_of_unready_pods_is_passed_over(istiod: Istiod, mode: Any) -> None:
    """Istio sends the unready pods, as UNHEALTHY, and leaves the failing over to the client."""
    async with greeters(_PLACES) as port, caller(istiod, mode, **_HERE) as client:
        nodes = [node(name, place) for name, place in _LOCALITIES.items()]
        pods = {address: {"node": address} for address in _PLACES}
        await istiod.apply("nodes", *nodes)
        await istiod.apply("rule", destination_rule(**_OUTLIERS))
        await istiod.apply("greeter", *kubernetes("greeter", pods, port))
        await settle(client, {"near"})
        async with under_load(client) as failures:
            await istiod.apply("greeter", *kubernetes("greeter", pods, port, unready=["127.0.0.11"]))
            await settle(client, {"region"})
            await istiod.apply("greeter", *kubernetes("greeter", pods, port))
            await settle(client, {"near"})
        assert failures == []


@both("endpoints of priority 0 that refuse connections")
async def test_a_place_that_cannot_be_connected_to_is_passed_over(istiod: Istiod, mode: Any) -> None:
    async with greeters({"127.0.0.12": "region"}) as port, caller(istiod, mode, **_HERE) as client:
        await istiod.apply("rule", destination_rule(**_OUTLIERS))
        await istiod.apply("greeter", _entry(port, "127.0.0.11", "127.0.0.12"))
        await settle(client, {"region"})
        async with greeters({"127.0.0.11": "near"}, port):
            await settle(client, {"near"})


@both("locality weights (distribute)")
async def test_shares_of_localities(istiod: Istiod, mode: Any) -> None:
    share = {"localityLbSetting": {"distribute": [{"from": "r1/z1/*", "to": {"r1/z1/*": 80, "r2/z1/*": 20}}]}}
    async with greeters(_PLACES) as port, caller(istiod, mode, **_HERE) as client:
        await istiod.apply("rule", destination_rule(loadBalancer=share, **_OUTLIERS))
        await istiod.apply("greeter", _entry(port, "127.0.0.11", "127.0.0.13"))
        await settle(client, {"near", "far"}, 100)
        await settle_share(client, "far", 0.2)


@both("trafficDistribution: PreferClose")
async def test_a_kubernetes_service_that_prefers_what_is_close(istiod: Istiod, mode: Any) -> None:
    async with greeters(_PLACES) as port, caller(istiod, mode, **_HERE) as client:
        pods = {address: {"node": address} for address in _PLACES}
        await istiod.apply("nodes", *[node(name, place) for name, place in _LOCALITIES.items()])
        close = {"trafficDistribution": "PreferClose"}
        await istiod.apply("greeter", *kubernetes("greeter", pods, port, spec=close))
        await settle(client, {"near"})
