"""nghttp2's load generator against our server: another HTTP/2 client, with many streams and connections at once."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from meshkit.rpc import Server
from meshkit.status import Status
from tests.support.echo_service import EchoService
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.h2peer import message

pytestmark = pytest.mark.interop

INSTALL = "apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends nghttp2-client"


@pytest.fixture(scope="session")
def h2load() -> str:
    """The program; installed from Debian where it is missing, and a failure where that is impossible."""
    if (found := shutil.which("h2load")) is not None:
        return found
    said = "there is no apt-get here"
    if shutil.which("apt-get") is not None:
        said = subprocess.run(INSTALL, shell=True, capture_output=True, text=True, timeout=600, check=False).stderr
    found = shutil.which("h2load")
    if found is None:
        pytest.fail(f"h2load (Debian: nghttp2-client) is not installed: {said}", pytrace=False)
    return found


@pytest.mark.parametrize(
    ("calls", "connections", "streams", "payload"),
    [(5000, 1, 1, 10), (20_000, 4, 64, 10), (5000, 100, 10, 1000), (200, 4, 8, 500_000)],
)
async def test_every_request_succeeds(
    h2load: str, tmp_path: Path, calls: int, connections: int, streams: int, payload: int
) -> None:
    body = tmp_path / "request"
    request = EchoRequest(payload=bytes(payload))
    body.write_bytes(message(bytes(request)))
    ended: Counter[Status] = Counter()
    server = Server([EchoService()], observer=lambda method, status, seconds: ended.update([status]))
    async with server:
        where = f"http://127.0.0.1:{await server.listen()}/echo.v1.Echo/Unary"
        fields = ("-H", "content-type: application/grpc", "-H", "te: trailers")
        numbers = ("-n", str(calls), "-c", str(connections), "-m", str(streams))
        process = await asyncio.create_subprocess_exec(
            h2load, *numbers, *fields, "-d", str(body), where, stdout=-1, stderr=asyncio.subprocess.STDOUT
        )
        try:
            said = (await asyncio.wait_for(process.communicate(), 300))[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
    outcomes = re.search(r"requests: .*", said)
    assert outcomes is not None, said
    assert f"{calls} done, {calls} succeeded, 0 failed, 0 errored, 0 timeout" in outcomes[0], said
    assert f"status codes: {calls} 2xx" in said
    assert ended == {Status.OK: calls}
    received = re.search(r"traffic: .*\((\d+)\) data", said)
    assert received is not None, said
    assert int(received[1]) == calls * len(message(bytes(EchoReply(payload=request.payload))))
