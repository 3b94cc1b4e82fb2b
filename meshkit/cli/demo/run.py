"""Sets the stage, plays the phases, says how it went."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from meshkit.cli.demo.load import Load, Tally
from meshkit.cli.demo.phases import PHASES, Phase
from meshkit.cli.demo.rules import ALL_TO_V1, SUBSETS, write_rule
from meshkit.cli.demo.screen import Screen, screen
from meshkit.cli.demo.stage import Stage
from meshkit.cli.loop import run_on_best_loop
from meshkit.errors import MeshkitError, MissingExtra
from meshkit.mesh import Mesh
from meshkit.tasks import Scope

__all__ = ["demo"]

_CALL_TIMEOUT = 20.0
_NEEDED = ("envoy_data_plane", "aiohttp", "yaml", "watchfiles", "grpc_tools", "jinja2", "betterproto2_compiler")
_GLANCE = 500  # calls looked at to see whether a rule is in force


def demo() -> None:
    """Run the mesh on this machine and check every claim: live rules, killed processes, no failed call."""
    if not all(map(importlib.util.find_spec, _NEEDED)):  # before anything is started
        raise MissingExtra("meshkit demo", "all")
    logging.getLogger("meshkit").setLevel(logging.CRITICAL)  # what happens is shown in words of the demo's own
    with tempfile.TemporaryDirectory(prefix="meshkit-demo-") as folder:
        stage = Stage(Path(folder), _free_port())
        _generate(stage)
        load = run_on_best_loop(_play(stage))
    print(f"demo ok: {load.total} calls, {load.failed} failed")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _generate(stage: Stage) -> None:
    from meshkit_codegen import generate

    proto = Path(str(files("meshkit_templates"))) / "demo" / "greeter.proto"
    generate([proto], stage.gen)
    sys.path.insert(0, str(stage.gen.parent))
    stage.rules.mkdir()
    write_rule(stage.rules, "subsets", SUBSETS)
    write_rule(stage.rules, "routes", ALL_TO_V1)


async def _play(stage: Stage) -> Load:
    try:
        await stage.start_control_plane()
        await asyncio.gather(*(stage.start_server(name) for name in ("v1-a", "v1-b", "v2-a")))
        async with _calling(stage) as load:
            with screen() as show:
                for phase in PHASES:
                    await _run(phase, stage, load, show)
        return load
    finally:
        await stage.processes.stop_all()


@asynccontextmanager
async def _calling(stage: Stage) -> AsyncGenerator[Load, None]:
    async with Mesh(stage.control_plane, wait=15) as mesh:
        load = Load(_caller(mesh))
        await load.warm_up()
        async with Scope("demo") as scope:
            scope.start(load.run(), name="load")
            yield load


def _caller(mesh: Mesh) -> Callable[[bool], Coroutine[Any, Any, str]]:
    messages = importlib.import_module("gen.helloworld.v1")
    greeter = importlib.import_module("gen.helloworld.v1.greeter_mesh").GreeterClient(mesh)
    request = messages.HelloRequest(name="Ada")
    admin = {"user": "admin"}

    async def call(as_admin: bool) -> str:
        reply = await greeter.say_hello(request, timeout=_CALL_TIMEOUT, metadata=admin if as_admin else None)
        return str(reply.message)

    return call


async def _run(phase: Phase, stage: Stage, load: Load, show: Screen) -> None:
    show.begin(phase.title)
    failed = load.failed
    load.fresh()
    await _ticking(phase.act(stage), load, show)
    await _ticking(_settle(phase, load), load, show)
    tally = load.fresh()
    await _ticking(_watch(phase, tally), load, show)
    verdict = phase.holds(tally)
    if load.failed > failed:
        verdict = f"{load.failed - failed} calls failed, the last with {load.last_error}"
    show.end(verdict)
    if verdict:
        raise MeshkitError(f"demo failed in phase {phase.title!r}: {verdict}")


async def _settle(phase: Phase, load: Load) -> None:
    """Wait until the phase begins to hold, for as long as it may take."""
    clock = asyncio.get_running_loop().time
    limit = clock() + phase.settle
    while clock() < limit:
        tally = load.fresh()
        await _enough(tally, limit - clock())
        if not phase.holds(tally):
            return


async def _watch(phase: Phase, tally: Tally) -> None:
    """Gather the calls of ``phase.watch`` seconds; more where calls are slow, as few of them show nothing."""
    await asyncio.sleep(phase.watch)
    await _enough(tally, phase.settle)


async def _enough(tally: Tally, limit: float) -> None:
    """Wait until there are calls enough to judge by, for ``limit`` seconds at most."""
    clock = asyncio.get_running_loop().time
    end = clock() + limit
    while tally.calls < _GLANCE and clock() < end:  # noqa: ASYNC110 (calls end all the time)
        await asyncio.sleep(0.05)


async def _ticking(work: Any, load: Load, show: Screen) -> None:
    """Wait for ``work`` and keep the screen moving meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait([task], timeout=0.2)
        show.tick(load)
    task.result()
