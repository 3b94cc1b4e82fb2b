"""h2spec, the conformance suite of HTTP/2, against a server of net."""

import asyncio

import pytest

from tests.support.calls import serving
from tests.support.gopeers import go_binary


@pytest.mark.interop
async def test_h2spec_passes_whole():
    h2spec = await asyncio.to_thread(go_binary, "github.com/summerwind/h2spec/cmd/h2spec", "v2.2.1+incompatible")
    async with serving() as (port, _, _):
        run = await asyncio.create_subprocess_exec(
            *(str(h2spec), "--strict", "--host", "127.0.0.1", "--port", str(port), "--timeout", "5"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await run.communicate())[0].decode()
    assert "146 tests, 146 passed, 0 skipped, 0 failed" in output, output[-5000:]
