"""The house's own rules: what a plain client imports, who may use grpclib's transport, how large things are."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

import pytest

import meshkit
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.world import control_plane, greeter

SOURCES = sorted(
    path
    for folder in ("meshkit", "codegen/meshkit_codegen", "templates/meshkit_templates")
    for path in Path(folder).rglob("*.py")
)
HEAVY = (
    "envoy_data_plane",
    "envoy",
    "grpc",
    "pydantic",
    "aiohttp",
    "google.protobuf",
    "jinja2",
    "betterproto2_compiler",
    "grpclib.client",
    "grpclib.server",
    "h2",
    "hpack",
    "structlog",
    "rich",
    "yaml",
    "meshkit.control",
    "meshkit.cli",
    "meshkit_codegen",
)
FORBIDDEN = (  # to a client; a server needs some of its own half
    *HEAVY,
    "meshkit.discovery.local",
    "meshkit.mesh.membership",
    "meshkit.mesh.serving",
    "meshkit.net.server",
    "meshkit.net.server_stream",
    "meshkit.rpc.compat.handlers",
    "meshkit.rpc.server",
    "meshkit.rpc.reflection",
    "meshkit.trust",
    "meshkit.xds.listeners",
    "meshkit.xds.listener_tables",
)
MOST_MODULES = 180  # of meshkit and of what it brings along; 177 at the time of writing
_PLAIN_CLIENT = """
import asyncio, sys
import meshkit
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient

async def main():
    async with meshkit.Mesh(sys.argv[1]) as mesh:
        reply = await GreeterClient(mesh).say_hello(HelloRequest(name="Ada"), timeout=20)
        print(reply.message)

asyncio.run(main())
print(*sorted(set(sys.modules)))
"""

_PLAIN_SERVER = """
import asyncio, sys
import meshkit
from tests.support.gen.helloworld.v1 import HelloReply
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterBase

class Greeter(GreeterBase):
    async def say_hello(self, request, ctx):
        return HelloReply(message=" ".join(sorted(set(sys.modules))))

async def main():
    async with meshkit.Mesh(sys.argv[1], service="greeter") as mesh, mesh.serving(Greeter()):
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
# What message classes bring along is betterproto2's doing: grpclib's halves, and pydantic where it is installed.
_MESSAGES = "import asyncio, betterproto2, tests.support.gen.helloworld.v1"


async def test_a_client_that_called_over_xds_has_imported_nothing_heavy(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane, greeter(plane.port, "v1-a"):
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PLAIN_CLIENT, f"127.0.0.1:{plane.port}", stdout=subprocess.PIPE
        )
        said, loaded = (await asyncio.wait_for(client.communicate(), 90))[0].decode().splitlines()
    assert said == "v1-a"
    ours = set(loaded.split()) - _loaded_by(_MESSAGES)
    assert [name for name in FORBIDDEN if name in ours] == []
    assert len(ours) <= MOST_MODULES, f"{len(ours)} modules: import lazily, or move the budget with a reason"


async def test_a_server_that_answered_over_xds_has_imported_nothing_heavy(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane, meshkit.Mesh(f"127.0.0.1:{plane.port}") as mesh:
        words = (sys.executable, "-c", _PLAIN_SERVER, f"127.0.0.1:{plane.port}")
        server = await asyncio.create_subprocess_exec(*words, stdin=subprocess.PIPE)
        try:
            options = meshkit.CallOptions(wait_for_ready=True)
            reply = await GreeterClient(mesh).say_hello(HelloRequest(), timeout=90, options=options)
        finally:
            await asyncio.wait_for(server.communicate(b""), 90)  # the end of its input ends it
    ours = set(reply.message.split()) - _loaded_by(_MESSAGES)
    assert "meshkit.net.server" in ours
    assert [name for name in HEAVY if name in ours] == []


def _loaded_by(code: str) -> set[str]:
    words = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.split())


def test_the_transport_of_grpclib_is_used_by_the_adapters_only() -> None:
    strays = [
        f"{path}: {name}"
        for path in SOURCES
        if "rpc/compat" not in path.as_posix()
        for name in _imports(path)
        if name.startswith(("grpclib.client", "grpclib.server", "grpclib.protocol", "h2."))
    ]
    assert strays == []


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_and_classes_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "a file of more than 400 lines wants to be two"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            methods = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
            visible = [item for item in methods if not (item.name.startswith("__") and item.name.endswith("__"))]
            assert len(visible) <= 20, f"class {node.name} has {len(visible)} methods"


def test_functions_stay_small() -> None:
    sizes = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert median(sizes.values()) <= 6
    assert quantiles(sizes.values(), n=10)[-1] <= 25
    assert [name for name, size in sizes.items() if size > 60] == []


def test_public_names_are_documented() -> None:
    bare = [
        f"{path}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and node.name in _exported(path)
        and not ast.get_docstring(node)
    ]
    assert bare == []


def _exported(path: Path) -> set[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return {item.value for item in ast.walk(node.value) if isinstance(item, ast.Constant)}
    return set()
