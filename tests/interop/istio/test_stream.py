"""The one ADS stream on a real istiod: what is asked for, and what becomes of it in bad times."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from meshkit.mesh import Mesh
from tests.support.events import captured_events
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import (
    DELTA,
    HOST,
    LIGHT,
    caller,
    destination_rule,
    greeters,
    kubernetes,
    member,
    routes,
    settle,
    under_load,
    virtual_service,
)
from tests.support.istiod import Istiod, running_istiod
from tests.support.world import until

pytestmark = pytest.mark.interop

_TYPES = "type.googleapis.com/envoy.config."
_CDS, _EDS = f"{_TYPES}cluster.v3.Cluster", f"{_TYPES}endpoint.v3.ClusterLoadAssignment"
_RDS = f"{_TYPES}route.v3.RouteConfiguration"
_PODS = {"127.0.0.11": {"version": "v1"}, "127.0.0.12": {"version": "v2"}}
_NAMES = {"127.0.0.11": "v1", "127.0.0.12": "v2"}
_SUBSETS = destination_rule(subsets={"v1": {"version": "v1"}, "v2": {"version": "v2"}})
_SPLIT = virtual_service(routes({"v1": 50, "v2": 50}))
_STANDARD = "helloworld.v1.greeter"


async def _mesh_of_three(istiod: Istiod, port: int) -> None:
    """The greeter with two subsets, and two services that nobody here calls."""
    for name in ("other", "another"):
        await istiod.apply(name, *kubernetes(name, {}, port))
    await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
    await istiod.apply("rules", _SUBSETS, _SPLIT)


@pytest.mark.capability("delta ADS: CDS *, EDS per used cluster, RDS host:port, no LDS", peer="istiod delta")
async def test_the_default_generator_is_asked_for_what_is_used_over_one_delta_stream(istiod: Istiod) -> None:
    async with greeters(_NAMES) as port:
        await _mesh_of_three(istiod, port)
        async with member(istiod, DELTA) as mesh:
            await settle(GreeterClient(mesh), {"v1", "v2"})
            (client,) = await istiod.watchers()
            assert client["watches"] == {
                _CDS: ["*"],
                _EDS: [f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"],
                _RDS: [f"{HOST}:80"],
            }
            assert mesh._discovery.statistics().stream.nacks == 0


@pytest.mark.capability("SotW ADS: RDS, CDS, EDS by name, no LDS", peer="istiod grpc/SotW")
async def test_the_grpc_generator_is_asked_by_name_over_one_sotw_stream(istiod: Istiod) -> None:
    async with greeters(_NAMES) as port:
        await _mesh_of_three(istiod, port)
        async with member(istiod, LIGHT) as mesh:
            await settle(GreeterClient(mesh), {"v1", "v2"})
            (client,) = await istiod.watchers()
            subsets = [f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"]
            assert client["watches"] == {_CDS: subsets, _EDS: subsets, _RDS: [f"outbound|80||{HOST}"]}
            assert mesh._discovery.statistics().stream.nacks == 0
