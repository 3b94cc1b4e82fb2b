"""What a client process costs: CPU to its first reply and its memory, beside those of grpcio and grpclib.

All call one service, ``echo.v1.Echo``, by generated code. meshkit and grpcio find it through xDS, from the embedded
control plane, which runs with the service in a process of its own; grpclib, which has no xDS, is given its address,
and so is grpcio once more, to show what its xDS adds. Each client is a program that imports what it needs and no more:
meshkit's has what `meshkit gen` writes (the tests' messages carry grpclib's stubs and servers too), and no pydantic:
betterproto2 imports that wherever it is installed, as it is here for the tests; meshkit does not bring it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.report import Row, at_most
from tests.support.pb.echo.v1 import echo_pb2
from tests.support.xds_caller import grpc_bootstrap

__all__ = ["rows"]

_HOST = "echo.default.svc.cluster.local:80"
_END = """
import json, resource
used = resource.getrusage(resource.RUSAGE_SELF)
with open("/proc/self/status") as status:  # proc(5); ru_maxrss would begin with what the process that started this had
    (peak,) = [int(line.split()[1]) for line in status if line.startswith("VmHWM:")]
print(json.dumps([used.ru_utime + used.ru_stime, peak / 1024]), flush=True)
"""
_MESHKIT = """
import sys
sys.modules["pydantic"] = None  # as where it is not installed
import asyncio
import meshkit
from made.echo.v1 import EchoRequest
from made.echo.v1.echo_mesh import EchoClient

async def main():
    async with meshkit.Mesh("127.0.0.1:{ads}") as mesh:
        assert (await EchoClient(mesh).unary(EchoRequest(text="Ada"))).text == "Ada"

asyncio.run(main())
"""
_GRPC = """
import asyncio
import grpc.aio
from tests.support.pb.echo.v1.echo_pb2 import EchoRequest
from tests.support.pb.echo.v1.echo_pb2_grpc import EchoStub

async def main():
    async with grpc.aio.insecure_channel("{target}") as channel:
        assert (await EchoStub(channel).Unary(EchoRequest(text="Ada"))).text == "Ada"

asyncio.run(main())
"""
_GRPCLIB = """
import asyncio
from grpclib.client import Channel
from tests.support.pb.echo.v1.echo_pb2 import EchoRequest
from tests.support.pb.echo.v1.echo_grpc import EchoStub

async def main():
    async with Channel("127.0.0.1", {port}) as channel:
        assert (await EchoStub(channel).Unary(EchoRequest(text="Ada"))).text == "Ada"

asyncio.run(main())
"""


def rows(quick: bool) -> list[Row]:
    """CPU seconds and megabytes of each client; the medians of several processes, in turns."""
    with _world() as (ads, port), tempfile.TemporaryDirectory() as folder:
        _generate(folder)
        programs = {
            "meshkit, xDS": _MESHKIT.format(ads=ads),
            "grpc.aio, xDS": _GRPC.format(target=f"xds:///{_HOST}"),
            "grpc.aio, address": _GRPC.format(target=f"127.0.0.1:{port}"),
            "grpclib, address": _GRPCLIB.format(port=port),
        }
        bootstrap = grpc_bootstrap(ads)
        for text in programs.values():
            _run(text, bootstrap, folder)  # compiles to .pyc what was edited since, as an installation does
        rounds = [
            {name: _run(text, bootstrap, folder) for name, text in programs.items()} for _ in range(3 if quick else 7)
        ]
    found: list[Row] = []
    for name in programs:
        cpu, memory = (median(one[name][figure] for one in rounds) for figure in (0, 1))
        found += _rows(name, cpu, memory)
    return found


def _rows(name: str, cpu: float, memory: float) -> list[Row]:
    words = f"client process, CPU to the first reply: {name}", f"client process, RSS: {name}"
    if name.startswith("meshkit"):
        return [at_most(words[0], cpu, "s", 0.3), at_most(words[1], memory, "MB", 45)]
    return [Row(words[0], cpu, "s"), Row(words[1], memory, "MB")]


def _generate(folder: str) -> None:
    """The package ``made`` in ``folder``, of echo.proto."""
    protos = Path(echo_pb2.__file__).parents[2]
    words = [sys.executable, "-m", "meshkit.cli", "gen", str(protos / "echo/v1/echo.proto"), "-I", str(protos)]
    subprocess.run([*words, "--out", f"{folder}/made"], stdout=subprocess.DEVNULL, check=True, timeout=60)


def _run(program: str, bootstrap: str, folder: str) -> tuple[float, float]:
    settings = {"GRPC_XDS_BOOTSTRAP_CONFIG": bootstrap, "GRPC_VERBOSITY": "NONE", "PYTHONDONTWRITEBYTECODE": ""}
    settings["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    words = [sys.executable, "-W", "ignore", "-c", program + _END]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=60, env=os.environ | settings)
    cpu, memory = json.loads(done.stdout)
    return float(cpu), float(memory)


@contextmanager
def _world() -> Iterator[tuple[int, int]]:
    """The control plane and the service; gives their ports."""
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.footprint"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ads, port = map(int, process.stdout.readline().split())
        yield ads, port
    finally:
        process.kill()
        process.communicate()


async def _serve() -> None:
    from meshkit.control import ControlPlane
    from meshkit.mesh import Mesh
    from tests.support.echo_service import EchoService

    with tempfile.TemporaryDirectory() as folder:
        async with (
            ControlPlane(Path(folder), port=0, debug_port=None) as plane,
            Mesh(f"127.0.0.1:{plane.port}", service="echo") as mesh,
            mesh.serving(EchoService()) as server,
        ):
            print(plane.port, server.port, flush=True)
            await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(_serve())
