"""Through the unix socket of Istio's agent, which a gRPC bootstrap leads to and which takes one stream at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meshkit.mesh import Mesh
from tests.support.ads_server import AdsServer, cluster, endpoints, routes
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.waiting import until
from tests.support.world import Greeter

ID = "sidecar~127.0.0.1~app-1.demo~demo.svc.cluster.local"


class Agent(AdsServer):
    """Closes an earlier stream when another one comes (pkg/istio-agent/xds_proxy.go, registerStream)."""

    async def _serve(self, requests: AsyncIterator[Any], metadata: Any, delta: bool) -> AsyncIterator[Any]:
        self.end_streams()
        async for response in super()._serve(requests, metadata, delta):
            yield response


@pytest.mark.parametrize("generator", ["", "grpc"])
async def test_a_process_that_calls_and_serves_has_one_stream(
    generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = f"unix://{tmp_path}/x"
    server = {"server_uri": socket, "channel_creds": [{"type": "insecure"}]}
    node = {"id": ID, "metadata": {"GENERATOR": generator, "LABELS": {"app": "greeter"}}}
    monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", json.dumps({"xds_servers": [server], "node": node}))
    async with (
        Agent(listen=f"unix:{tmp_path}/x") as agent,
        Mesh(service="greeter") as mesh,
        mesh.serving(Greeter("one")) as served,
    ):
        name = "outbound|80||helloworld.v1.greeter" if generator else "helloworld.v1.greeter:80"
        agent.put(cluster("a"), endpoints("a", served.address), routes(name, ("a", 1)))
        assert (await GreeterClient(mesh).say_hello(HelloRequest(name="Ada"), timeout=5)).message == "one"
        await until(lambda: agent.streams and "MESHKIT" in agent.streams[-1].node.metadata.fields)
        streams = len(agent.streams)
        await asyncio.sleep(0.3)
        assert (len(agent.streams), len(agent.live)) == (streams, 1)
        assert streams <= 2  # a second one where the first began before there was something to publish
    assert agent.streams[-1].node.id == ID
    assert {stream.delta for stream in agent.streams} == {not generator}
