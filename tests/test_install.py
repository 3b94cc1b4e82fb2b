"""Installed without the lock file: today's newest releases that our metadata allows, by pip, in fresh environments.

What others release may break these tests from one day to the next, so they are for before a release, not every change.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wheel import built_wheel

pytestmark = pytest.mark.newest

_PROTO = """syntax = "proto3";
package helloworld.v1;
message HelloRequest { string name = 1; }
message HelloReply { string message = 1; }
service Greeter { rpc SayHello(HelloRequest) returns (HelloReply); }
"""
_CALL = """
import asyncio, meshkit
from meshkit.rpc import Channel
from gen.helloworld.v1 import HelloReply, HelloRequest
from gen.helloworld.v1.greeter_mesh import GreeterBase, GreeterClient

class Greeter(GreeterBase):
    async def say_hello(self, request, ctx, /):
        return HelloReply(message=f"Hello {request.name}")

async def main():
    async with meshkit.Mesh() as mesh, mesh.serving(Greeter()) as server:
        async with Channel(server.address) as channel:
            print((await GreeterClient(channel).say_hello(HelloRequest(name="Ada"), timeout=20.0)).message)

asyncio.run(main())
"""


def run(*words: str | Path, cwd: Path) -> str:
    apart = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}  # nothing of this tree
    done = subprocess.run(words, cwd=cwd, env=apart, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(tmp_path_factory.mktemp("wheel"))


def installed(wheel: Path, extra: str, folder: Path) -> Path:
    """The scripts of a fresh environment with ``extra``, whose releases fit together as pip sees it."""
    run(sys.executable, "-m", "venv", folder, cwd=wheel.parent)
    pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--retries", "8", "--timeout", "30")
    run(*pip, "install", "--quiet", f"{wheel}[{extra}]" if extra else wheel, cwd=wheel.parent)
    run(*pip, "check", cwd=wheel.parent)
    return folder / "bin"


@pytest.mark.parametrize("extra", ["uvloop", "cli", "control", "json"])
def test_each_extra_installs_and_imports(extra: str, wheel: Path, tmp_path: Path) -> None:
    scripts = installed(wheel, extra, tmp_path / "venv")
    run(scripts / "python", "-c", "import meshkit", cwd=tmp_path)
    if extra in ("cli", "control"):
        assert "Generate messages" in run(scripts / "meshkit", "--help", cwd=tmp_path)


@pytest.mark.parametrize("extra", ["gen", "all"])
def test_what_is_generated_in_one_environment_serves_in_a_bare_one(extra: str, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "greeter.proto").write_text(_PROTO)
    (tmp_path / "call.py").write_text(_CALL)
    generating = installed(wheel, extra, tmp_path / "generating")
    run(generating / "meshkit", "gen", "greeter.proto", "--out", "gen", cwd=tmp_path)
    bare = installed(wheel, "", tmp_path / "bare")
    for scripts in (generating, bare):
        assert run(scripts / "python", "call.py", cwd=tmp_path) == "Hello Ada\n"
