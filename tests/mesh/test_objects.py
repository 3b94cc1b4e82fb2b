"""Istio's objects given to the embedded control plane: the same that tests/interop/istio gives to istiod."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshkit.mesh import Mesh
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import (
    HOST,
    destination_rule,
    greeters,
    routes,
    service_entry,
    settle,
    virtual_service,
    workload_entry,
)
from tests.support.world import control_plane, write_rule

INTERFACE = "helloworld.v1.greeter"
TWO = {"127.0.0.11": "v1", "127.0.0.12": "v2"}
LABELLED = {address: {"labels": {"version": name}} for address, name in TWO.items()}
SUBSETS = {"v1": {"version": "v1"}, "v2": {"version": "v2"}}


@asynccontextmanager
async def applied(folder: Path, *objects: Mapping[str, Any], host: str = HOST) -> AsyncIterator[GreeterClient]:
    """A client of the greeter at ``host``, and these objects in force."""
    write_rule(folder, "objects", "\n---\n".join(json.dumps(one) for one in objects))
    interfaces = {} if host == INTERFACE else {"helloworld.v1.Greeter": f"{host}:80"}
    async with (
        control_plane(folder, settle=0) as plane,
        Mesh(f"127.0.0.1:{plane.port}", namespace="demo", interfaces=interfaces) as mesh,
    ):
        yield GreeterClient(mesh)


@pytest.mark.capability("ServiceEntry, resolution STATIC", peer="embedded")
async def test_a_static_service_entry(tmp_path: Path) -> None:
    async with greeters(TWO) as port, applied(tmp_path, service_entry(HOST, LABELLED, port)) as client:
        await settle(client, {"v1", "v2"})


@pytest.mark.capability("WorkloadEntry behind a ServiceEntry", peer="embedded")
async def test_workload_entries_that_a_service_entry_selects(tmp_path: Path) -> None:
    async with greeters(TWO) as port:
        entry = service_entry(HOST, {}, port, workloadSelector={"labels": {"app": "greeter"}})
        async with applied(tmp_path, entry, *(workload_entry(address) for address in TWO)) as client:
            await settle(client, {"v1", "v2"})


@pytest.mark.capability("subsets by labels", peer="embedded")
async def test_subsets(tmp_path: Path) -> None:
    rules = destination_rule(subsets=SUBSETS), virtual_service(routes({"v2": 100}))
    async with greeters(TWO) as port, applied(tmp_path, service_entry(HOST, LABELLED, port), *rules) as client:
        await settle(client, {"v2"})


@pytest.mark.capability("interface as host of a VirtualService, live weights and headers", peer="embedded")
async def test_an_interface_as_host_of_a_virtual_service(tmp_path: Path) -> None:
    admin = routes({"v2": 100}, match=[{"headers": {"user": {"exact": "admin"}}}])
    interface = virtual_service(admin, routes({"v1": 100}), host=INTERFACE)
    entry = destination_rule(subsets=SUBSETS), interface
    async with greeters(TWO) as port:
        objects = service_entry(HOST, LABELLED, port), *entry
        async with applied(tmp_path, *objects, host=INTERFACE) as client:
            await settle(client, {"v1"})
            await settle(client, {"v2"}, metadata={"user": "admin"})
            live = virtual_service(routes({"v1": 50, "v2": 50}), host=INTERFACE)
            write_rule(tmp_path, "objects", "\n---\n".join(json.dumps(one) for one in (*objects[:2], live)))
            await settle(client, {"v1", "v2"})


@pytest.mark.capability("interface as host of a ServiceEntry, with its own rules", peer="embedded")
async def test_an_interface_as_host_of_a_service_entry(tmp_path: Path) -> None:
    rules = (
        destination_rule(INTERFACE, SUBSETS),
        virtual_service(routes({"v2": 100}, INTERFACE), host=INTERFACE),
    )
    async with greeters(TWO) as port:
        entry = service_entry(INTERFACE, LABELLED, port)
        async with applied(tmp_path, entry, *rules, host=INTERFACE) as client:
            await settle(client, {"v2"})
