"""Big pushes into a mesh in use: worked off in slices beside the calls, and in force whole."""

from __future__ import annotations

import asyncio

from meshkit.mesh import Mesh
from tests.support.ads_server import AdsServer, cluster, endpoints, routes
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.world import Greeter

HOST = "greeter.default.svc.cluster.local"
ADA = HelloRequest(name="Ada")


async def test_a_big_push_goes_into_force_in_slices_while_calls_go_on() -> None:
    many = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}:80" for n in range(5_000)]
    interfaces = {"helloworld.v1.Greeter": f"{HOST}:80"}
    async with (
        Mesh() as provider,
        provider.serving(Greeter("v1")) as server,
        AdsServer() as plane,
        Mesh(plane.address, interfaces=interfaces) as mesh,
    ):
        plane.put(cluster("small"), cluster("big"), endpoints("small", f"127.0.0.1:{server.port}"))
        plane.put(endpoints("big", *many), routes(f"{HOST}:80", ("small", 1)))
        client = GreeterClient(mesh)
        await client.say_hello(ADA, timeout=5)
        view, before = mesh._views["helloworld.v1.Greeter"], mesh._discovery.statistics().stream.slices
        plane.put(routes(f"{HOST}:80", ("small", 1000), ("big", 1)))
        calls = 0
        while mesh._views["helloworld.v1.Greeter"] is view:
            await asyncio.wait_for(client.say_hello(ADA, timeout=5), 30)
            calls += 1
        assert mesh._views["helloworld.v1.Greeter"].clusters["big"].statistics().endpoints == 5_000
        assert calls > 2
        assert mesh._discovery.statistics().stream.slices > before + 5


async def test_a_push_that_changes_one_endpoint_leaves_all_others_alone() -> None:
    many = [f"10.0.{n >> 8}.{n & 255}:80" for n in range(2_000)]
    async with (
        Mesh() as provider,
        provider.serving(Greeter("v1")) as server,
        AdsServer() as plane,
        Mesh(plane.address, interfaces={"helloworld.v1.Greeter": f"{HOST}:80"}) as mesh,
    ):
        real = f"127.0.0.1:{server.port}"
        plane.put(
            cluster("big"), endpoints("big", *many[:1_000], real, *many[1_000:]), routes(f"{HOST}:80", ("big", 1))
        )
        view = await mesh._interface("helloworld.v1.Greeter").changed(None)
        runtime = view.clusters["big"]
        before = dict(runtime._targets)
        were = {address: target.endpoint for address, target in before.items()}
        pool = runtime.open(before[real])
        before[many[3]].in_flight = 7
        connection = await asyncio.wait_for(pool.connect(), 5)
        plane.put(endpoints("big", *many[:700], "10.1.0.0:80", *many[701:1_000], real, *many[1_000:]))
        view = await mesh._interface("helloworld.v1.Greeter").changed(view)
        after = view.clusters["big"]._targets
        assert view.clusters["big"] is runtime
        assert before.keys() - after.keys() == {many[700]} and after.keys() - before.keys() == {"10.1.0.0:80"}
        stayed = before.keys() & after.keys()
        assert all(after[address] is before[address] for address in stayed)
        assert sum(after[address].endpoint is not were[address] for address in stayed) <= 128  # two runs at most
        assert after[many[3]].in_flight == 7
        assert after[real].pool is pool and pool.ready_nowait() is connection


async def test_the_newest_of_several_big_pushes_wins() -> None:
    interfaces = {"helloworld.v1.Greeter": f"{HOST}:80"}
    async with AdsServer() as plane, Mesh(plane.address, interfaces=interfaces) as mesh:
        plane.put(cluster("big"), endpoints("big", "10.0.0.1:80"), routes(f"{HOST}:80", ("big", 1)))
        view = await mesh._interface("helloworld.v1.Greeter").changed(None)
        for count in range(3_000, 3_010):
            plane.put(endpoints("big", *(f"10.0.{n >> 8 & 255}.{n & 255}:80" for n in range(count))))
        async with asyncio.timeout(30):
            while view.clusters["big"].statistics().endpoints != 3_009:
                view = await mesh._interface("helloworld.v1.Greeter").changed(view)
        await asyncio.sleep(0.05)
        assert view.clusters["big"].statistics().endpoints == 3_009


async def test_a_mesh_may_close_while_a_big_push_goes_into_force() -> None:
    interfaces = {"helloworld.v1.Greeter": f"{HOST}:80"}
    async with AdsServer() as plane, Mesh(plane.address, interfaces=interfaces) as mesh:
        plane.put(cluster("big"), routes(f"{HOST}:80", ("big", 1)))
        plane.put(endpoints("big", *(f"10.0.{n >> 8 & 255}.{n & 255}:80" for n in range(20_000))))
        interface = mesh._interface("helloworld.v1.Greeter")
        async with asyncio.timeout(30):
            while not interface.watch.cell.value.ready:  # noqa: ASYNC110  caught in the middle of the work
                await asyncio.sleep(0)
    assert mesh._views == {}
