"""The control plane as clients see it: scripted SotW and delta clients of grpcio over real sockets."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from meshkit.control import ControlPlane
from meshkit.errors import ConfigError
from tests.support.ads_client import CDS, EDS, LDS, RDS, DeltaClient, SotwClient, node
from tests.support.files import save

HOST = "greeter.default.svc.cluster.local"
IFACE = "helloworld.v1.greeter"
SERVICE = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: greeter}}
spec:
  hosts: [{HOST}]
  resolution: STATIC
  ports: [{{number: 80, name: grpc, protocol: GRPC}}]
  endpoints:
  - {{address: 127.0.0.11, labels: {{version: v1}}}}
  - {{address: 127.0.0.12, labels: {{version: v2}}}}
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: greeter}
spec:
  host: greeter
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter}
spec:
  hosts: [greeter]
  http:
  - route:
    - {destination: {host: greeter, subset: v1}, weight: WEIGHT1}
    - {destination: {host: greeter, subset: v2}, weight: WEIGHT2}
"""
ALL = f"outbound|80||{HOST}"


def rules(first: int) -> str:
    return RULES.replace("WEIGHT1", str(first)).replace("WEIGHT2", str(100 - first))


def server(
    name: str, *addresses: str, host: str = HOST, interface: str = "helloworld.v1.Greeter", **labels: str
) -> Any:
    """The node of a meshkit server."""
    mapping = json.dumps({f"providers:{interface}::": f"{host}:80"})
    listed = [{"host": host, "port": 80, "address": address} for address in addresses]
    return node(name, MESHKIT={"endpoints": listed}, LABELS={"app": "greeter", "DUBBO_GO": mapping, **labels})


def weights(config: Any) -> dict[str, int]:
    if not config.virtual_hosts:
        return {}
    (route,) = config.virtual_hosts[0].routes
    return {one.name: one.weight.value for one in route.route.weighted_clusters.clusters}


def addresses(assignment: Any) -> list[str]:
    found = [one.endpoint.address.socket_address for part in assignment.endpoints for one in part.lb_endpoints]
    return [f"{one.address}:{one.port_value}" for one in found]


@pytest.fixture
async def plane(tmp_path):
    (tmp_path / "service.yaml").write_text(SERVICE)
    (tmp_path / "rules.yaml").write_text(rules(90))
    async with ControlPlane(tmp_path, port=0, debug_port=0, hold=0.2, settle=0) as plane:
        yield plane


async def test_sotw_gets_everything_and_then_what_changes(plane):
    async with SotwClient(plane.port) as client:
        clusters = await client.fetch(CDS)
        assert set(clusters) == {ALL, f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"}
        assignments = await client.fetch(EDS, *clusters)
        assert addresses(assignments[ALL]) == ["127.0.0.11:80", "127.0.0.12:80"]
        assert addresses(assignments[f"outbound|80|v2|{HOST}"]) == ["127.0.0.12:80"]
        routes = await client.fetch(RDS, f"{HOST}:80")
        assert weights(routes[f"{HOST}:80"]) == {f"outbound|80|v1|{HOST}": 90, f"outbound|80|v2|{HOST}": 10}
        save(plane.directory / "rules.yaml", rules(20))
        kind, pushed = await client.pushed(f"{HOST}:80")
        assert (kind, list(pushed)) == (RDS, [f"{HOST}:80"])
        assert weights(pushed[f"{HOST}:80"]) == {f"outbound|80|v1|{HOST}": 20, f"outbound|80|v2|{HOST}": 80}
        await client.nothing()


async def test_delta_gets_everything_and_then_what_changes(plane):
    async with DeltaClient(plane.port) as client:
        clusters = await client.fetch(CDS, "*")
        assert len(clusters) == 3
        assert set(await client.fetch(EDS, ALL)) == {ALL}
        assert weights((await client.fetch(RDS, f"{HOST}:80"))[f"{HOST}:80"])[f"outbound|80|v1|{HOST}"] == 90
        save(plane.directory / "service.yaml", SERVICE.replace("127.0.0.11", "127.0.0.13"))
        kind, pushed, removed = await client.pushed()
        assert (kind, removed) == (EDS, [])
        assert addresses(pushed[ALL]) == ["127.0.0.13:80", "127.0.0.12:80"]
        (plane.directory / "rules.yaml").unlink()
        order = [await client.pushed() for _ in range(4)]  # the cluster lost its rule: its endpoints come again
        assert [kind for kind, _, _ in order] == [CDS, EDS, RDS, CDS]
        assert order[2][1][f"{HOST}:80"].virtual_hosts[0].routes[0].route.cluster == ALL
        assert sorted(order[3][2]) == [f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"]
        await client.nothing()


async def test_every_edit_is_pushed(plane):
    async with DeltaClient(plane.port) as client:
        await client.fetch(RDS, f"{HOST}:80")
        for first in (10, 20, 30, 40):
            save(plane.directory / "rules.yaml", rules(first))
            response = await client.receive()
            assert response.resources[0].name == f"{HOST}:80"


async def test_routes_do_not_wait_for_ever_for_a_client_that_acknowledges_nothing(plane):
    async with DeltaClient(plane.port) as client:
        for kind, name in ((CDS, "*"), (EDS, ALL), (RDS, f"{HOST}:80")):
            await client.fetch(kind, name)
        save(plane.directory / "rules.yaml", rules(50).replace("v2", "v3"))
        kinds = [(await client.receive()).type_url for _ in range(3)]
        assert kinds == [CDS, RDS, CDS]


async def test_a_bad_edit_changes_nothing_and_is_told(plane):
    async with DeltaClient(plane.port) as client:
        await client.fetch(RDS, f"{HOST}:80")
        save(plane.directory / "rules.yaml", rules(50).replace("weight", "wieght"))
        save(plane.directory / "other.yaml", SERVICE.replace("greeter", "other"))
        assert set(await client.fetch(CDS, "*")) >= {f"outbound|80|v1|{HOST}"}
        while not plane.problems:
            await client.pushed()
        assert "did you mean weight?" in str(plane.problems[0])
        assert str(plane.problems[0]).startswith(
            "rules.yaml:16: VirtualService default/greeter: spec.http[0].route[0].wieght: "
        )


async def test_a_server_that_connects_is_an_endpoint_and_provides_its_interfaces(plane):
    async with DeltaClient(plane.port) as client:
        routes = await client.fetch(RDS, f"{IFACE}:80")
        assert not routes[f"{IFACE}:80"].virtual_hosts
        await client.fetch(EDS, ALL, f"outbound|80|v2|{HOST}")
        async with DeltaClient(plane.port, server("one", "127.0.0.1:4001", version="v2")) as one:
            await one.ask(CDS, ("*",))
            kind, pushed, _ = await client.pushed()
            assert (kind, set(pushed)) == (EDS, {ALL, f"outbound|80|v2|{HOST}"})
            assert addresses(pushed[f"outbound|80|v2|{HOST}"]) == ["127.0.0.12:80", "127.0.0.1:4001"]
            kind, pushed, _ = await client.pushed()
            assert (kind, set(weights(pushed[f"{IFACE}:80"]).values())) == (RDS, {90, 10})
        kind, pushed, _ = await client.pushed()  # after the hold
        assert addresses(pushed[f"outbound|80|v2|{HOST}"]) == ["127.0.0.12:80"]
        kind, pushed, _ = await client.pushed()
        assert not pushed[f"{IFACE}:80"].virtual_hosts


async def test_a_server_that_reconnects_loses_nothing_and_one_that_withdraws_is_gone_at_once(tmp_path):
    async with ControlPlane(tmp_path, port=0, hold=30, settle=0) as plane, DeltaClient(plane.port) as client:
        assert addresses((await client.fetch(EDS, ALL))[ALL]) == []
        for expected in (["127.0.0.1:4001"], ["127.0.0.1:4001"], []):
            identity = server("one", *expected) if expected else node("one")
            async with DeltaClient(plane.port, identity) as one:
                await one.fetch(CDS, "*")
                seen = addresses(await _assignment(client, ALL))
                while seen != expected:  # until the push with it, which may come after one of before
                    _, pushed, _ = await client.pushed()
                    seen = addresses(pushed[ALL]) if ALL in pushed else seen


async def _assignment(client: DeltaClient, name: str) -> Any:
    return (await client.fetch(EDS, name))[name]


async def test_an_interface_of_several_services_has_a_share_of_each(tmp_path):
    other = "welcome.default.svc.cluster.local"
    async with (
        ControlPlane(tmp_path, port=0, hold=0.1, settle=0) as plane,
        DeltaClient(plane.port, server("a", "127.0.0.1:1")) as first,
        DeltaClient(plane.port, server("b", "127.0.0.1:2")) as second,
        DeltaClient(plane.port, server("c", "127.0.0.1:3", host=other)) as third,
    ):
        for one in (first, second, third):
            await one.fetch(EDS, "x")
        async with DeltaClient(plane.port) as client:
            routes = await client.fetch(RDS, f"{IFACE}:80")
            while len(weights(routes[f"{IFACE}:80"])) < 2:
                _, routes, _ = await client.pushed()
            assert weights(routes[f"{IFACE}:80"]) == {ALL: 2, f"outbound|80||{other}": 1}


async def test_a_rule_for_the_interface_itself_wins(plane):
    own = rules(50).replace("hosts: [greeter]", f"hosts: [{IFACE}]").replace("name: greeter}", "name: iface}")
    save(plane.directory / "iface.yaml", own.partition("---")[2])
    async with DeltaClient(plane.port, server("one", "127.0.0.1:1")) as client:
        routes = await client.fetch(RDS, f"{IFACE}:80")
        while set(weights(routes[f"{IFACE}:80"]).values()) != {50}:
            _, routes, _ = await client.pushed()


async def test_the_grpc_generator_answers_on_demand(plane):
    async with SotwClient(plane.port, node(GENERATOR="grpc")) as client:
        listeners = await client.fetch(LDS, f"{HOST}:80", "greeter:80", "nowhere:80")
        assert set(listeners) == {f"{HOST}:80", "greeter:80"}
        routes = await client.fetch(RDS, ALL)
        assert f"{HOST}:80" in routes[ALL].virtual_hosts[0].domains
        clusters = await client.fetch(CDS, f"outbound|80|v1|{HOST}")
        assert list(clusters) == [f"outbound|80|v1|{HOST}"]


async def test_a_stream_without_a_node_is_refused(plane):
    async with SotwClient(plane.port) as client:
        client._node = None
        await client.ask(CDS)
        assert (await client.end()).name == "INVALID_ARGUMENT"


async def page(plane: ControlPlane, path: str) -> str:
    url = f"http://127.0.0.1:{plane.debug_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await response.text()


async def test_the_debug_pages(plane):
    async with SotwClient(plane.port, server("one", "127.0.0.1:4001")) as client:
        await client.fetch(CDS)
        await client.ask(RDS, f"{HOST}:80")
        response = await client.receive()
        await client.ask(RDS, f"{HOST}:80", nonce=response.nonce, error="no such thing")
        await client.fetch(EDS, ALL)
        adsz = json.loads(await page(plane, "/debug/adsz"))
        assert adsz["totalClients"] == 1
        (entry,) = adsz["clients"]
        assert entry["connectionId"] == "one.default-1"
        assert json.loads(entry["metadata"]["LABELS"]["DUBBO_GO"]) == {
            "providers:helloworld.v1.Greeter::": f"{HOST}:80"
        }
        assert entry["labels"]["app"] == "greeter"
        assert entry["watches"][RDS] == [f"{HOST}:80"]
        assert json.loads(await page(plane, "/debug/adsz?proxyID=two.default"))["totalClients"] == 0
        assert json.loads(await page(plane, "/debug/adsz?proxyID=one.default")) == adsz
        (sync,) = json.loads(await page(plane, "/debug/syncz"))
        assert sync["resources"][RDS]["lastError"] == "no such thing"
        assert sync["cluster_sent"] == sync["cluster_acked"] != ""
        assert json.loads(await page(plane, "/debug/configz"))["problems"] == []
        assert json.loads(await page(plane, "/debug/registryz"))["interfaces"][IFACE][0]["host"] == HOST
        assert await page(plane, "/healthz") == "ok\n"
        metrics = await page(plane, "/metrics")
        assert 'meshkit_control_rejects_total{type="RDS"} 1' in metrics
        assert "meshkit_control_registrations 1" in metrics


async def test_what_cannot_start_says_why_in_one_line(tmp_path, plane):
    with pytest.raises(ConfigError, match=r"cannot read the folder .*nowhere: No such file or directory"):
        async with ControlPlane(tmp_path / "nowhere", port=0):
            pass
    with pytest.raises(
        ConfigError, match=rf"cannot listen on 127.0.0.1:{plane.port}: Address already in use; .*--port"
    ):
        async with ControlPlane(tmp_path, port=plane.port):
            pass
    with pytest.raises(ConfigError, match=r"choose another port with --debug-port"):
        async with ControlPlane(tmp_path, port=0, debug_port=plane.debug_port):
            pass


async def test_clients_that_come_back_after_a_restart_keep_what_they_have_until_servers_are_back(tmp_path):
    async with (
        ControlPlane(tmp_path, port=0, settle=0) as plane,
        DeltaClient(plane.port, server("one", "127.0.0.1:1")) as one,
        DeltaClient(plane.port) as client,
    ):
        await one.fetch(CDS, "*")
        while not (routes := await client.fetch(RDS, f"{IFACE}:80"))[f"{IFACE}:80"].virtual_hosts:
            pass
    async with (
        ControlPlane(tmp_path, port=0, hold=9, settle=30) as plane,
        DeltaClient(plane.port) as back,
        DeltaClient(plane.port) as new,
    ):
        await back.ask(RDS, (f"{IFACE}:80",), versions={f"{IFACE}:80": "old"})
        assert (await back.pushed())[1] == {}
        assert not (await new.fetch(RDS, f"{IFACE}:80"))[f"{IFACE}:80"].virtual_hosts
        async with DeltaClient(plane.port, server("one", "127.0.0.1:1")) as one:
            await one.fetch(CDS, "*")
            _, pushed, _ = await back.pushed()
            assert pushed[f"{IFACE}:80"] == routes[f"{IFACE}:80"]
        async with DeltaClient(plane.port, node("one")) as one:  # what was there and went is gone, settled or not
            await one.fetch(CDS, "*")
            assert not (await back.pushed())[1][f"{IFACE}:80"].virtual_hosts
    async with ControlPlane(tmp_path, port=0, settle=0.1) as plane, DeltaClient(plane.port) as back:
        await back.ask(RDS, (f"{IFACE}:80",), versions={f"{IFACE}:80": "old"})
        assert (await back.pushed())[1] == {}
        assert not (await back.pushed())[1][f"{IFACE}:80"].virtual_hosts


async def test_a_signal_ends_it(tmp_path):
    script = f"""
import asyncio, logging, sys
from meshkit.control import run
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
asyncio.run(run({str(tmp_path)!r}, port=0, debug_port=None))
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert b"serving" in await asyncio.wait_for(process.stdout.readline(), 60)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_without_its_packages_it_says_what_to_install():
    script = "import sys; sys.modules['watchfiles'] = None; import meshkit.control"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), cwd=Path(__file__).parents[2], stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert b"MissingExtra: the embedded control plane needs packages that are not installed" in errors
    assert b"pip install 'meshkit[control]'" in errors


async def test_the_folder_may_vanish_and_come_back(tmp_path):
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "service.yaml").write_text(SERVICE)
    async with ControlPlane(folder, port=0, settle=0) as plane, DeltaClient(plane.port) as client:
        assert len(await client.fetch(CDS, "*")) == 1
        folder.rename(tmp_path / "away")
        folder.mkdir()
        save(folder / "service.yaml", SERVICE.replace("greeter", "other"))
        names = set()
        while "outbound|80||other.default.svc.cluster.local" not in names:
            names |= set((await client.pushed())[1])
