"""A server on a real istiod: it finds its own hosts, and shows what the mesh demands of its callers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshkit.mesh import MeshServer
from tests.support.events import captured_events
from tests.support.istio_world import HOST, LIGHT, kubernetes, member, service_entry
from tests.support.istiod import Istiod
from tests.support.waiting import until
from tests.support.world import Greeter

pytestmark = pytest.mark.interop

IP = "127.0.0.21"
SERVER = {"address": IP, "interfaces": {}}
POD: Mapping[str, Mapping[str, str]] = {IP: {}}


@pytest.fixture(autouse=True)
def in_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the downward API says: Istio 1.31 knows a pod by its name and namespace, and no longer by its address."""
    variables = {"POD_NAME": f"greeter-{IP.replace('.', '-')}", "POD_NAMESPACE": "demo", "SERVICE_ACCOUNT": "greeter"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def serving(istiod: Istiod, **settings: Any) -> AsyncIterator[MeshServer]:
    """A greeter in namespace ``demo`` that was not told which service it belongs to."""
    async with member(istiod, **{**SERVER, **settings}) as mesh, mesh.serving(Greeter("me")) as server:
        yield server


async def has_hosts(server: MeshServer, *hosts: str) -> None:
    async def found() -> bool:
        return server.hosts == hosts

    await until(found)


async def registered(istiod: Istiod) -> list[dict[str, str]]:
    """The interface maps of the servers that istiod has streams with."""
    labels = [client["metadata"].get("LABELS", {}) for client in await istiod.watchers()]
    return [json.loads(found["DUBBO_GO"]) for found in labels if "DUBBO_GO" in found]


@pytest.mark.capability("a server finds its own hosts", peer="istiod delta")
async def test_a_server_finds_its_hosts_and_registers_under_all_of_them_at_once(istiod: Istiod) -> None:
    async with serving(istiod) as server:
        entry = service_entry("other.example", {IP: {}}, server.port)
        await istiod.apply("both", *kubernetes("greeter", POD, server.port), entry)
        await has_hosts(server, f"{HOST}:80", "other.example:80")
        assert server.statistics().unplaced == ()
        assert server.statistics().identity == "spiffe://cluster.local/ns/demo/sa/greeter"

        async def told() -> bool:
            return await registered(istiod) == [{"providers:helloworld.v1.Greeter::": "other.example:80"}]

        await until(told)
        await istiod.delete("both")
        await has_hosts(server)


@pytest.mark.capability("a server of a Service with several ports finds its own", peer="istiod delta")
async def test_the_port_of_a_service_with_several_is_found_by_its_endpoints(istiod: Istiod) -> None:
    async with serving(istiod) as server:
        slices = kubernetes("greeter", POD, server.port, ports=[{"name": "grpc", "port": 81}])
        web = {"name": "http-web", "port": 80, "targetPort": 1}
        slices[0]["spec"]["ports"].append(web)
        slices[-1]["ports"].append({"name": "http-web", "port": 1, "protocol": "TCP"})
        await istiod.apply("greeter", *slices)
        await has_hosts(server, f"{HOST}:81")


@pytest.mark.capability("a server that learns its hosts opens one more stream", peer="istiod delta")
async def test_learning_costs_one_stream(istiod: Istiod) -> None:
    async with member(istiod, **SERVER) as mesh, mesh.serving(Greeter("me"), port=0) as probe:
        port = probe.port
    await istiod.apply("greeter", *kubernetes("greeter", POD, port))
    async with member(istiod, **SERVER) as mesh, mesh.serving(Greeter("me"), port=port) as server:
        await has_hosts(server, f"{HOST}:80")
        await mesh._discovery.announced()
        assert mesh._discovery.statistics().stream.streams == 2


def authentication(mode: str) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": "demo"},
        "spec": {"mtls": {"mode": mode}},
    }


def authorization(name: str, action: str) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"action": action, "rules": [{"from": [{"source": {"principals": ["*"]}}]}]},
    }


async def demands(server: MeshServer, mtls: str) -> None:
    async def shown() -> bool:
        return server.statistics().mtls == mtls

    await until(shown)


@pytest.mark.capability("inbound listener: mutual TLS and policies are read and shown", peer="istiod grpc/SotW")
async def test_what_is_demanded_of_callers_is_shown_and_said_not_to_be_enforced(istiod: Istiod) -> None:
    with captured_events() as events:
        async with serving(istiod, **LIGHT) as server:
            assert "MESHKIT_SERVICE" in server.statistics().notes[0]
            await istiod.apply("greeter", *kubernetes("greeter", POD, server.port))
            await demands(server, "PLAINTEXT")
            assert server.statistics().unenforced == ()
            await istiod.apply("strict", authentication("STRICT"))
            await demands(server, "STRICT")
            assert "NOT ENFORCED" in repr(server)
            await istiod.apply("strict", authentication("DISABLE"))
            await demands(server, "PLAINTEXT")
            await istiod.apply("policies", authorization("let-in", "ALLOW"), authorization("keep-out", "DENY"))

            async def attached() -> bool:
                return len(server.statistics().policies) == 2

            await until(attached)
            deny, allow = server.statistics().policies
            assert (deny.partition(" ")[0], allow.partition(" ")[0]) == ("DENY", "ALLOW")
            assert "keep-out" in deny
            assert "let-in" in allow
    warnings = [event["reason"] for event in events if event["event"] == "NOT PROTECTED"]
    assert "demands STRICT TLS" in warnings[0]
    assert "not enforced: DENY" in warnings[-1]
    assert len(warnings) in (2, 3), warnings  # istiod may push one policy of the two before the other
    shown = [event["mtls"] for event in events if event["event"] == "server in the mesh"]
    assert shown[:3] == ["PLAINTEXT", "STRICT", "PLAINTEXT"]


@pytest.mark.capability("inbound listener: what is needed to read it is said", peer="istiod delta")
async def test_the_default_generator_does_not_tell_and_that_is_said(istiod: Istiod) -> None:
    async with serving(istiod) as server:
        assert server.statistics().mtls == "UNKNOWN"
        assert "MESHKIT_GENERATOR" in server.statistics().notes[1]
