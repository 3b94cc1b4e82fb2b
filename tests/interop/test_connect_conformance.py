"""Connect's conformance tests for gRPC: their reference client with our server, our client with their reference server.

Some hundred cases of errors, details, metadata, timeouts, cancellation, limits and malformed peers, each multiplied by
compressions, kinds of streams and TLS.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from meshkit_codegen import generate

from tests.support.gopeers import go_binary, go_sources

pytestmark = pytest.mark.interop

MODULE, VERSION = "connectrpc.com/conformance", "v1.0.7"
ROOT = Path(__file__).parents[2]
FEATURES = {
    "versions": ["HTTP_VERSION_2"],
    "protocols": ["PROTOCOL_GRPC"],
    "codecs": ["CODEC_PROTO"],
    "compressions": ["COMPRESSION_IDENTITY", "COMPRESSION_GZIP", "COMPRESSION_DEFLATE"],
    "supportsH2c": True,
    "supportsTls": True,
    "supportsTlsClientCerts": True,
    "supportsMessageReceiveLimit": True,
}


# grpc/doc/http-grpc-status-mapping.md gives 431 a line of its own (INTERNAL); the tests count it among the others.
KNOWN = {"server": (), "client": ("--known-failing", "**/request-header-fields-too-large")}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own protos, generated."""
    folder = tmp_path_factory.mktemp("conformance")
    protos = go_sources(MODULE, VERSION) / "proto"
    generate([protos], folder, messages="protobuf")
    return folder


@pytest.mark.parametrize("mode", ["server", "client"])
async def test_every_case(mode: str, generated: Path, tmp_path: Path, cell: Callable[..., None]) -> None:
    pair = "connect-go -> meshkit" if mode == "server" else "meshkit -> connect-go"
    cell("connect conformance", pair)
    binary = await asyncio.to_thread(go_binary, f"{MODULE}/cmd/connectconformance", VERSION)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"features": FEATURES}))
    process = await asyncio.create_subprocess_exec(
        *(str(binary), "--conf", str(config), "--mode", mode, "--max-servers", "2", *KNOWN[mode], "--"),
        *(sys.executable, "-m", f"tests.support.conformance_{mode}"),
        stdout=-1,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{generated}"},
    )
    try:
        said = (await asyncio.wait_for(process.communicate(), 600))[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said[-8000:]
    passed = re.search(r"^(\d+) passed, 0 failed", said, re.MULTILINE)
    assert passed is not None, said[-2000:]
    assert int(passed[1]) > 700
    cell("connect conformance", pair, f"{passed[1]} cases")
