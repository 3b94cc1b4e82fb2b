"""The house's own rules: what a plain client imports, who may use grpclib's transport, how large things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

import pytest

SOURCES = sorted(
    path
    for folder in ("meshkit", "codegen/meshkit_codegen", "templates/meshkit_templates")
    for path in Path(folder).rglob("*.py")
)
FORBIDDEN = (
    "envoy_data_plane",
    "grpc",
    "aiohttp",
    "google.protobuf",
    "jinja2",
    "betterproto2_compiler",
    "grpclib.client",
    "grpclib.server",
    "h2",
    "hpack",
    "structlog",
    "yaml",
)
_PLAIN_CLIENT = """
import asyncio, sys
import meshkit
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient

async def main():
    async with meshkit.Mesh("127.0.0.1:1", wait=0) as mesh:
        try:
            await GreeterClient(mesh).say_hello(HelloRequest(name="Ada"))
        except meshkit.RpcError:
            pass

{before}
asyncio.run(main())
print(*sorted(set(sys.modules)))
"""


def test_a_plain_client_imports_nothing_heavy(tmp_path: Path) -> None:
    # betterproto2 looks for pydantic and for its own stubs' grpclib.client; what *we* import is the rest.
    code = _PLAIN_CLIENT.format(before="") + "\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    theirs = _loaded_by("import betterproto2, tests.support.gen.helloworld.v1")
    heavy = [name for name in FORBIDDEN if name in loaded and name not in theirs]
    assert heavy == []


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
