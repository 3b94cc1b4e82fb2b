"""How a process gets in at istiod: TLS and a token, each thing that can be wrong with them, and health when mended."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from meshkit.discovery import Discovery
from meshkit.mesh import Mesh
from meshkit.mesh.access import discovery_options
from meshkit.mesh.settings import load_settings
from meshkit.net import BackoffPolicy
from meshkit.tasks import Scope
from tests.support.events import captured_events
from tests.support.files import save
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import HOST, both, greeters, kubernetes, settle
from tests.support.istiod import Istiod, token
from tests.support.waiting import until
from tests.support.world import Greeter

pytestmark = pytest.mark.interop

_GOOD = token("demo", "app")
_FAST = BackoffPolicy(0.05, 1.6, 0.2, 0.2)
_ONE = {"127.0.0.11": {"version": "v1"}}


def secure(istiod: Istiod, token_file: Path, **more: Any) -> dict[str, Any]:
    return {"control_plane": istiod.secure_address, "root_cert": istiod.root_cert, "token_file": token_file, **more}


@asynccontextmanager
async def looking(namespace: str = "demo", **settings: Any) -> AsyncIterator[Discovery]:
    """Discovery that looks for the greeter and tries again soon."""
    where = {"namespace": namespace, "address": "127.0.0.99", "interfaces": {"x.Y": f"{HOST}:80"}}
    discovery = Discovery(replace(discovery_options(load_settings({**where, **settings}, {}), {}), backoff=_FAST))
    await discovery.start()
    discovery.watch("x.Y")
    try:
        yield discovery
    finally:
        await discovery.close()


def failing(discovery: Discovery) -> bool:
    return bool(discovery.statistics().stream.last_error)


def warnings(events: Any) -> list[str]:
    return [event["error"] for event in events if event["log_level"] == "warning"]


@both("TLS and a service-account token (15012)")
async def test_a_caller_gets_in_with_its_token(istiod: Istiod, mode: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(_GOOD + "\n")
    async with greeters({"127.0.0.11": "one"}) as port:
        await istiod.apply("greeter", *kubernetes("greeter", _ONE, port))
        settings = secure(istiod, tmp_path / "token", namespace="demo", address="127.0.0.99", wait=30.0)
        where = {"helloworld.v1.Greeter": f"{HOST}:80"}
        async with Mesh(interfaces=where, **mode, **settings) as mesh:
            await settle(GreeterClient(mesh), {"one"})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param("", "holds no token", id="empty"),
        pytest.param(None, "No such file or directory; mount the projected token there", id="missing"),
        pytest.param("secret", "UNAUTHENTICATED: .*is no JSON web token", id="not a token"),
        pytest.param(token("demo", "app", key="other"), "UNAUTHENTICATED: .*does not trust who signed", id="wrong key"),
        pytest.param(token("demo", "app", ttl=-60), "UNAUTHENTICATED: .*expired at 20", id="expired"),
        pytest.param(
            token("demo", "app", audience=["vault"]), "audience vault; project one for istio-ca", id="audience"
        ),
        pytest.param(token("other", "app"), "PERMISSION_DENIED: .*'demo'.*serviceaccount:other:app", id="namespace"),
    ],
)
@both("wrong tokens are named, and mended without a restart")
async def test_a_bad_token_is_said_once_until_it_is_replaced(
    istiod: Istiod, tmp_path: Path, mode: Mapping[str, str], bad: str | None, said: str
) -> None:
    file = tmp_path / "token"
    if bad is not None:
        file.write_text(bad)
    with captured_events() as events:
        async with looking(**secure(istiod, file), **mode) as discovery:
            await until(lambda: failing(discovery))
            await asyncio.sleep(0.4)  # several more attempts
            save(file, _GOOD)
            await until(lambda: not discovery.condition())
    (warning,) = warnings(events)
    assert re.search(said, warning), warning
    assert not bad or bad not in warning


_OTHER_ROOT = trustme.CA().cert_pem.bytes()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            {"root_cert": "other"}, "TLS: unable to get local issuer certificate; .*MESHKIT_ROOT_CERT", id="root"
        ),
        pytest.param({"root_cert": "none"}, "there is no root certificate at .*mount it there", id="no root"),
        pytest.param({"root_cert": "junk"}, "certificates in .*junk cannot be used", id="junk"),
    ],
)
@pytest.mark.capability("wrong root certificates are named, and mended without a restart", peer="istiod delta")
async def test_a_bad_root_is_said_once_until_it_is_replaced(
    istiod: Istiod, tmp_path: Path, settings: Mapping[str, str], said: str
) -> None:
    root = tmp_path / settings["root_cert"]
    (tmp_path / "other").write_bytes(_OTHER_ROOT)
    (tmp_path / "junk").write_text("junk")
    (tmp_path / "token").write_text(_GOOD)
    with captured_events() as events:
        async with looking(**secure(istiod, tmp_path / "token", root_cert=root)) as discovery:
            await until(lambda: failing(discovery))
            await asyncio.sleep(0.4)
            save(root, istiod.root_cert.read_text())
            await until(lambda: not discovery.condition())
    (warning,) = warnings(events)
    assert re.search(said, warning), warning


async def test_ports_and_names_that_do_not_fit_are_named(istiod: Istiod, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(_GOOD)
    for more, said in (
        ({"server_name": "istiod.example"}, "Hostname mismatch.*MESHKIT_SERVER_NAME"),
        ({"control_plane": istiod.address}, "does not speak TLS there: use 15012"),
        ({"root_cert": ""}, "as a port with TLS does to plaintext: set MESHKIT_ROOT_CERT"),
    ):
        with captured_events() as events:
            async with looking(**secure(istiod, tmp_path / "token", **more)) as discovery:
                await until(lambda discovery=discovery: failing(discovery))
                assert re.search(said, discovery.condition()), discovery.condition()
        assert len(warnings(events)) == 1


@pytest.mark.capability("token rotation across streams", peer="istiod delta")
async def test_the_token_of_the_day_is_shown_by_every_stream(own_istiod: Istiod, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token("demo", "app", ttl=2))

    def inside() -> bool:
        if failing(discovery):  # the token was too old when it was shown
            save(file, token("demo", "app", ttl=2))
        return not discovery.condition()

    async with looking(**secure(own_istiod, file)) as discovery:
        await until(inside)
        await asyncio.sleep(2.2)  # the first token is of no use any more; the stream lives on
        assert not discovery.condition()
        save(file, _GOOD)
        await own_istiod.restart()
        await until(lambda: discovery.statistics().stream.streams >= 2 and not discovery.condition())


@pytest.mark.capability("gRPC bootstrap with TLS and a token", peer="istiod grpc/SotW")
async def test_a_bootstrap_leads_to_the_secure_port(
    istiod: Istiod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(_GOOD)
    server = {
        "server_uri": f"dns:///{istiod.secure_address}",
        "channel_creds": [{"type": "google_default"}, _creds("tls", ca_certificate_file=str(istiod.root_cert))],
        "call_creds": [_creds("jwt_token_file", jwt_token_file=str(tmp_path / "token"))],
    }
    node = {"id": "sidecar~127.0.0.99~app-1.demo~cluster.local", "metadata": {"GENERATOR": "grpc"}}
    (tmp_path / "bootstrap.json").write_text(json.dumps({"xds_servers": [server], "node": node}))
    monkeypatch.setenv("GRPC_XDS_BOOTSTRAP", str(tmp_path / "bootstrap.json"))
    async with greeters({"127.0.0.11": "one"}) as port:
        await istiod.apply("greeter", *kubernetes("greeter", _ONE, port))
        async with Mesh(interfaces={"helloworld.v1.Greeter": f"{HOST}:80"}) as mesh:
            await settle(GreeterClient(mesh), {"one"})
            (watcher,) = await istiod.watchers()
    assert watcher["metadata"]["GENERATOR"] == "grpc"
    assert watcher["metadata"]["NAMESPACE"] == "demo"


@pytest.mark.capability("Istio's pod environment", peer="istiod delta")
async def test_istiod_reads_what_the_pod_says(istiod: Istiod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "POD_NAME": "shop-1",
        "POD_NAMESPACE": "demo",
        "INSTANCE_IPS": "127.0.0.99,127.0.0.98",
        "SERVICE_ACCOUNT": "shop",
        "ISTIO_META_MESH_ID": "m1",
        "ISTIO_META_NETWORK": "n1",
        "ISTIO_META_POD_PORTS": '[{"name": "grpc", "containerPort": 80, "protocol": "TCP"}]',
        "ISTIO_METAJSON_LABELS": '{"app": "shop", "version": 2}',
        "PROXY_CONFIG": '{"concurrency": 2, "proxyMetadata": {"ISTIO_META_WORKLOAD_NAME": "shop"}}',
        "MESHKIT_POD_INFO": str(tmp_path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "labels").write_text('pod-template-hash="abc"\ntopology.istio.io/locality="r1/z1"\n')
    (tmp_path / "annotations").write_text('sidecar.istio.io/inject="true"\n')
    async with Mesh(istiod.address) as mesh:
        mesh._interface("x.Y")
        watchers = await _first_watchers(istiod)
    (watcher,) = watchers
    assert watcher["connectionId"].startswith("shop-1.demo-")
    assert watcher["locality"] == {"region": "r1", "zone": "z1"}
    expected = {
        "NAMESPACE": "demo",
        "SERVICE_ACCOUNT": "shop",
        "INSTANCE_IPS": "127.0.0.99,127.0.0.98",
        "MESH_ID": "m1",
        "NETWORK": "n1",
        "WORKLOAD_NAME": "shop",
        "ANNOTATIONS": {"sidecar.istio.io/inject": "true"},
        "DISABLE_HBONE_SEND": "true",
    }
    assert {key: watcher["metadata"].get(key) for key in expected} == expected
    assert watcher["metadata"]["LABELS"].items() >= {"app": "shop", "version": "2", "pod-template-hash": "abc"}.items()
    assert watcher["metadata"]["PROXY_CONFIG"]["concurrency"] == 2


def _creds(kind: str, **config: str) -> dict[str, Any]:
    return {"type": kind, "config": config}


async def _first_watchers(istiod: Istiod) -> list[dict[str, Any]]:
    await until(istiod.watchers)
    return await istiod.watchers()


_MEMBER: Mapping[str, Any] = {
    "service": "greeter",
    "namespace": "demo",
    "address": "127.0.0.11",
    "interfaces": {"helloworld.v1.Greeter": f"{HOST}:80"},
    "wait": 30.0,
}


@both("unix socket, one stream")
async def test_one_stream_through_a_unix_socket(istiod: Istiod, mode: Any, tmp_path: Path) -> None:
    """As Istio's agent has it: a process that calls and serves is one stream."""
    path = str(tmp_path / "x")
    async with (
        forwarded(path, istiod.ports["xds"]),
        Mesh(f"unix:{path}", **_MEMBER, **mode) as mesh,
        mesh.serving(Greeter("one")) as server,
    ):
        await istiod.apply("greeter", *kubernetes("greeter", _ONE, int(server.address.rpartition(":")[2])))
        await settle(GreeterClient(mesh), {"one"})
        assert len(await istiod.watchers()) == 1


@asynccontextmanager
async def forwarded(path: str, port: int) -> AsyncIterator[None]:
    """A unix socket that leads to a port."""
    async with Scope("forward") as scope:

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
            scope.start(pass_on(reader, other_writer))
            scope.start(pass_on(other_reader, writer))

        async with await asyncio.start_unix_server(accept, path):
            yield


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
    finally:
        writer.close()
