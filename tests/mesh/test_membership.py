"""A server's place in the mesh: its hosts, how it registers, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshkit.mesh import Mesh
from tests.support.ads_server import CDS, AdsServer, cluster
from tests.support.events import captured_events
from tests.support.waiting import until
from tests.support.world import Greeter, control_plane

GREETER = "providers:helloworld.v1.Greeter::"


def inbound(port: int, *hosts: str) -> Any:
    message = cluster(f"inbound|{port}||")
    services = message.metadata.filter_metadata["istio"].fields["services"].list_value
    for host in hosts:
        services.values.add().struct_value.fields["host"].string_value = host
    return message


def registered(server: AdsServer) -> dict[str, str]:
    labels = server.streams[-1].node.metadata.fields["LABELS"].struct_value.fields
    text = labels["DUBBO_GO"].string_value if "DUBBO_GO" in labels else "{}"
    return dict(json.loads(text))


async def test_hosts_that_the_control_plane_tells_are_registered_with_one_more_stream() -> None:
    async with AdsServer() as plane, Mesh(plane.address, address="127.0.0.1") as mesh:
        async with mesh.serving(Greeter("a")) as server:
            plane.put(cluster("outbound|80||a.b"), cluster("outbound|81||c.d"), inbound(server.port, "a.b", "c.d"))
            await until(lambda: server.hosts)
            assert server.hosts == ("a.b:80", "c.d:81")
            assert "hosts: a.b:80, c.d:81" in repr(server)
            await until(lambda: len(plane.streams) == 2 and plane.streams[-1].requests)
            assert registered(plane) == {GREETER: "c.d:81"}
            endpoints = plane.streams[-1].node.metadata.fields["MESHKIT"].struct_value.fields["endpoints"].list_value
            assert len(endpoints.values) == 2
        await until(lambda: len(plane.streams) == 3 and plane.streams[-1].requests)
        assert registered(plane) == {}


async def test_a_configured_service_is_registered_at_once_and_wins() -> None:
    async with (
        AdsServer() as plane,
        Mesh(plane.address, address="127.0.0.1", service="greeter") as mesh,
        mesh.serving(Greeter("a")) as server,
    ):
        plane.put(cluster("outbound|80||a.b"), inbound(server.port, "a.b"))
        await until(lambda: plane.streams and plane.streams[-1].requests)
        assert server.hosts == ("greeter.default.svc.cluster.local:80",)
        assert registered(plane) == {GREETER: "greeter.default.svc.cluster.local:80"}
        assert len(plane.streams) == 1


async def test_a_server_that_listens_everywhere_is_called_at_the_announced_address() -> None:
    async with (
        AdsServer() as plane,
        Mesh(plane.address, address="127.0.0.1", service="greeter") as mesh,
        mesh.serving(Greeter("a"), host="0.0.0.0") as server,
    ):
        assert server.statistics().address == f"127.0.0.1:{server.port}"
        assert server.address == f"0.0.0.0:{server.port}"


async def test_what_is_not_known_is_said() -> None:
    async with (
        Mesh("127.0.0.1:1", address="127.0.0.1", generator="grpc") as mesh,
        mesh.serving(Greeter("a")) as server,
    ):
        facts = server.statistics()
        assert (facts.mtls, facts.identity, facts.hosts, facts.unenforced) == ("UNKNOWN", "", (), ())
        assert "set service" in facts.notes[0]
        assert "no answer yet" in facts.notes[1]
        assert facts.notes[2] == "service account not known"


async def test_its_identity_is_made_of_what_the_pod_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SERVICE_ACCOUNT": "app", "POD_NAMESPACE": "demo", "TRUST_DOMAIN": "corp.example"}.items():
        monkeypatch.setenv(name, value)
    async with Mesh("127.0.0.1:1", address="127.0.0.1") as mesh, mesh.serving(Greeter("a")) as server:
        assert server.statistics().identity == "spiffe://corp.example/ns/demo/sa/app"


async def test_it_is_logged_once_and_at_each_change() -> None:
    with captured_events() as events:
        async with AdsServer() as plane, Mesh(plane.address, address="127.0.0.1") as mesh:
            async with mesh.serving(Greeter("a")) as server:
                plane.put(cluster("outbound|80||a.b"))
                await until(lambda: _told(events))
                plane.put(inbound(server.port, "a.b"))
                await until(lambda: len(_told(events)) == 2)
                plane.put(cluster("outbound|80||other"))
                plane.put(cluster("outbound|81||other"))
                plane.delete(CDS, f"inbound|{server.port}||")
                await until(lambda: len(_told(events)) == 3)
    first, second, third = _told(events)
    assert (first["hosts"], second["hosts"], third["hosts"]) == ((), ("a.b:80",), ())
    assert first["notes"][0].startswith("no service selects")
    assert not any(event["enforced"] for event in _told(events))


def _told(events: list[Any]) -> list[Any]:
    return [event for event in events if event["event"] == "server in the mesh"]


@pytest.mark.capability("inbound listener: mutual TLS and policies are read and shown", peer="embedded")
async def test_the_embedded_control_plane_tells_of_an_inbound_listener_too(tmp_path: Path) -> None:
    async with (
        control_plane(tmp_path) as plane,
        Mesh(f"127.0.0.1:{plane.port}", generator="grpc", service="greeter") as mesh,
        mesh.serving(Greeter("a")) as server,
    ):
        await until(lambda: server.statistics().mtls == "PLAINTEXT")
        assert server.statistics().notes == ("service account not known",)
