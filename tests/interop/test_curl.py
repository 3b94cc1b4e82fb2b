"""Calls by curl, over each HTTP that it speaks, as docs/json.md shows them."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from meshkit.mesh import Mesh
from meshkit.net import TlsSettings, server_context
from tests.support.echo_service import EchoService, serving
from tests.support.world import Greeter

pytestmark = pytest.mark.interop

JSON = ("-H", "content-type: application/json")
SAY_HELLO = "/helloworld.v1.Greeter/SayHello"


async def curl(*words: str) -> str:
    process = await asyncio.create_subprocess_exec("curl", "-sS", "--max-time", "60", *words, stdout=PIPE, stderr=PIPE)
    said, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return said.decode()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with Mesh() as mesh, mesh.serving(Greeter("v1"), EchoService(), json=True) as server:
        yield f"http://{server.address}"


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2", "--http2-prior-knowledge"])
async def test_a_call(url: str, version: str) -> None:
    said = await curl(version, "-d", '{"name":"x"}', *JSON, url + SAY_HELLO)
    assert json.loads(said) == {"message": "v1"}


async def test_the_connection_is_kept(url: str) -> None:
    say_hello = ("-d", "{}", *JSON, "-w", "%{num_connects}\\n", url + SAY_HELLO)
    assert await curl(*say_hello, "--next", *say_hello) == '{"message":"v1"}1\n{"message":"v1"}0\n'


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
async def test_an_error_and_its_status(url: str, version: str) -> None:
    request = '{"text": "no such thing", "fail": 5}'
    said = await curl(version, "-w", "\\n%{http_code}", "-d", request, *JSON, f"{url}/echo.v1.Echo/Unary")
    body, status = said.rsplit("\n", 1)
    assert (json.loads(body), status) == ({"code": "not_found", "message": "no such thing"}, "404")


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("size", [2_000_000, 5_000_000])
async def test_a_large_message_goes_up_and_comes_down_or_is_refused(
    url: str, version: str, size: int, tmp_path: Path
) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"text": "x" * size}))
    said = json.loads(await curl(version, "--data-binary", f"@{file}", *JSON, f"{url}/echo.v1.Echo/Unary"))
    assert said == {"text": "x" * size} if size < 4 << 20 else said["code"] == "resource_exhausted"


async def test_through_what_it_takes_for_a_proxy(url: str) -> None:
    """Which is asked for whole URLs."""
    said = await curl("--proxy", url, "-d", '{"name":"x"}', *JSON, "http://mesh.test:50051" + SAY_HELLO)
    assert json.loads(said) == {"message": "v1"}


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
async def test_head_has_no_body(url: str, version: str) -> None:
    said = await curl(version, "--head", "-w", "%{size_download}", url + SAY_HELLO)
    assert said.splitlines()[0].split()[1] == "405"
    assert said.splitlines()[-1] == "0"


async def test_health_by_a_url(url: str) -> None:
    path = f"{url}/grpc.health.v1.Health/Check"
    said = await curl("-G", path, "--data-urlencode", "encoding=json", "--data-urlencode", "message={}")
    assert said == '{"status":"SERVING"}'


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_over_tls(version: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "key.pem")
    tls = TlsSettings(server_context(cert=tmp_path / "key.pem"))
    async with serving(json=True, tls=tls) as (_, address):
        url = f"https://localhost:{address.rpartition(':')[2]}/echo.v1.Echo/Unary"
        how = (version, "--ipv4", "--cacert", str(tmp_path / "ca.pem"), *JSON)
        said = await curl(*how, "-d", '{"text":"x"}', "-w", "%{http_version}", url)
        assert said == '{"text":"x"}' + version.removeprefix("--http")
        (tmp_path / "large").write_bytes(b" " * (5 << 20))
        said = await curl(*how, "--data-binary", f"@{tmp_path / 'large'}", url)
        assert json.loads(said)["code"] == "resource_exhausted"
