"""docs/istio.md, followed word for word: its programs, pod, Service, command and rules, with a real istiod.

What only a cluster has is filled in: the pod's address and the objects that Kubernetes' controllers make, the files
that a kubelet mounts, and ``kubectl apply``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.istio_world import kubernetes
from tests.support.istiod import Istiod, token
from tests.support.waiting import until

pytestmark = pytest.mark.interop

GUIDE = Path(__file__).parents[3] / "docs" / "istio.md"
PROTO = """\
syntax = "proto3";
package helloworld.v1;
message HelloRequest { string name = 1; }
message HelloReply { string message = 1; }
service Greeter { rpc SayHello(HelloRequest) returns (HelloReply); }
"""
TOOLS = Path(sys.executable).parent  # where pip puts commands


def blocks() -> dict[str, str]:
    """The guide's files, by the name in their first line."""
    found = re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return dict(found)


def command(start: str) -> list[str]:
    """The words of the guide's command that starts so, up to a pipe."""
    (line,) = [line for line in GUIDE.read_text().splitlines() if line.startswith(start)]
    return shlex.split(line.partition("|")[0])


class Cluster:
    """A folder with the guide's programs, and an istiod that takes the guide's objects."""

    def __init__(self, istiod: Istiod, folder: Path) -> None:
        self.istiod = istiod
        self.folder = folder
        self.files = blocks()

    async def build(self) -> None:
        """What the image of the guide has in it."""
        for name in ("service.py", "client.py"):
            (self.folder / name).write_text(self.files[name])
        (self.folder / "greeter.proto").write_text(PROTO)
        await self.run("meshkit", "gen", "greeter.proto", "--out", "gen")

    def pod(self, name: str, address: str, **labels: str) -> dict[str, Any]:
        """The guide's pod under another name, running."""
        pod: dict[str, Any] = yaml.safe_load(self.files["pod.yaml"])
        pod["metadata"]["name"] = name
        pod["metadata"]["labels"] |= labels
        pod["spec"] |= {"nodeName": "node"}
        pod["status"] = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        return pod

    async def apply(self, *pods: dict[str, Any]) -> None:
        """The guide's objects, these pods, and what Kubernetes makes of them."""
        objects = list(yaml.safe_load_all(self.files["service.yaml"]))
        for one in objects:
            if one["kind"] == "Service":
                one["spec"]["clusterIP"] = "10.96.0.20"
        ports = [{"name": "grpc", "port": 50051}]
        serving = [pod for pod in pods if pod["spec"]["containers"][0].get("ports")]
        addresses = {pod["status"]["podIP"]: pod["metadata"]["labels"] for pod in serving}
        *_, endpoints = kubernetes("greeter", addresses, 50051, namespace="default", ports=ports)
        for endpoint, pod in zip(endpoints["endpoints"], serving, strict=True):
            endpoint["targetRef"]["name"] = pod["metadata"]["name"]
        await self.istiod.apply("cluster", *objects, *pods, endpoints)

    def environment(self, pod: Mapping[str, Any]) -> dict[str, str]:
        """What a kubelet would give this pod's container, with its mounts in a folder of this machine."""
        mounts = self.folder / f"mounts-{pod['metadata']['name']}"
        mounts.mkdir(exist_ok=True)
        account = pod["spec"]["serviceAccountName"]
        (mounts / "istio-token").write_text(token(pod["metadata"]["namespace"], account))
        labels = pod["metadata"]["labels"]
        (mounts / "labels").write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in labels.items()))
        said = {one["name"]: one.get("value") or _field(pod, one) for one in pod["spec"]["containers"][0]["env"]}
        assert said["MESHKIT_CONTROL_PLANE"].endswith(".istio-system.svc:15012")
        here = {
            "MESHKIT_CONTROL_PLANE": self.istiod.secure_address,
            "MESHKIT_ROOT_CERT": str(self.istiod.root_cert),
            "MESHKIT_TOKEN_FILE": str(mounts / "istio-token"),
            "MESHKIT_POD_INFO": str(mounts),
        }
        return said | here

    async def run(self, *words: str, **environment: str) -> str:
        """What a command prints; it must succeed."""
        process = await self.start(*words, **environment)
        out, error = await asyncio.wait_for(process.communicate(), 180)
        assert process.returncode == 0, error.decode()
        return out.decode()

    async def start(self, *words: str, **environment: str) -> Process:
        path = {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(self.folder)}
        return await asyncio.create_subprocess_exec(
            *words, cwd=self.folder, env=os.environ | path | environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )

    @asynccontextmanager
    async def running(self, pod: Mapping[str, Any]) -> AsyncIterator[Process]:
        """The pod's container, once istiod knows that it serves."""
        words = pod["spec"]["containers"][0]["command"]
        process = await self.start(*words, **self.environment(pod))
        try:
            await asyncio.wait_for(_listening(pod["status"]["podIP"], 50051), 120)
            yield process
        finally:
            process.terminate()
            await asyncio.wait_for(process.communicate(), 60)


def _field(pod: Mapping[str, Any], variable: Mapping[str, Any]) -> str:
    """What a fieldRef of the downward API refers to."""
    value: Any = {**pod, "spec": {**pod["spec"]}}
    for part in variable["valueFrom"]["fieldRef"]["fieldPath"].split("."):
        value = value[part]
    return str(value)


async def _listening(host: str, port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return


@pytest.fixture
async def cluster(own_istiod: Istiod, tmp_path: Path) -> Cluster:
    folder = tmp_path / "app"
    folder.mkdir()
    cluster = Cluster(own_istiod, folder)
    await cluster.build()
    return cluster


@pytest.mark.capability(
    "the guide, word for word: TLS, token, pod environment, published interface", peer="istiod delta"
)
async def test_the_guide(cluster: Cluster) -> None:
    server, client = cluster.pod("greeter-1", "127.0.0.71"), cluster.pod("client-1", "127.0.0.73", app="client")
    canary = cluster.pod("greeter-2", "127.0.0.74", version="v2")  # one call in ten goes to it
    client["spec"]["containers"][0] |= {"command": ["python", "client.py"], "ports": []}
    await cluster.apply(server, canary, client)
    async with cluster.running(server), cluster.running(canary):
        mapping = await cluster.run(*command("meshkit k8s mapping"))
        await cluster.istiod.apply("mapping", mapping)
        assert await cluster.run("python", "client.py", **cluster.environment(client)) == "Hello Ada\n"

        async def known() -> bool:
            streams = await cluster.istiod.watchers()
            ids = {stream["connectionId"].rpartition("-")[0] for stream in streams}
            return {"greeter-1.default", "greeter-2.default"} <= ids

        await until(known)
        await cluster.istiod.delete("mapping")
        await cluster.istiod.apply("canary", cluster.files["canary.yaml"])
        assert await cluster.run("python", "client.py", **cluster.environment(client)) == "Hello Ada\n"


async def test_its_pages_of_istiod_are_there(cluster: Cluster) -> None:
    pages = re.findall(r"localhost:15014/debug/(\w+)", GUIDE.read_text())
    assert pages == ["adsz", "syncz"]
    for page in pages:
        assert await cluster.istiod.debug(page) is not None


async def test_its_light_mode(cluster: Cluster) -> None:
    ((name, value),) = re.findall(r"\*\*Light mode\*\*: `(\w+)=(\w+)`", GUIDE.read_text())
    server = cluster.pod("greeter-1", "127.0.0.75")
    await cluster.apply(server)
    await cluster.istiod.apply("mapping", await cluster.run(*command("meshkit k8s mapping")))
    async with cluster.running(server):
        said = cluster.environment(server) | {name: value}
        assert await cluster.run("python", "client.py", **said) == "Hello Ada\n"
