"""Connect's conformance tests: their reference client with our server, our client with their reference server.

For gRPC at both ends, and for unary calls of Connect's own protocol at our server, over HTTP/1.1 too.

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
_COMMON = {
    "supportsH2c": True,
    "supportsTls": True,
    "supportsTlsClientCerts": True,
    "supportsMessageReceiveLimit": True,
}
GRPC = _COMMON | {
    "versions": ["HTTP_VERSION_2"],
    "protocols": ["PROTOCOL_GRPC"],
    "codecs": ["CODEC_PROTO"],
    "compressions": ["COMPRESSION_IDENTITY", "COMPRESSION_GZIP", "COMPRESSION_DEFLATE"],
}
CONNECT = _COMMON | {
    "versions": ["HTTP_VERSION_1", "HTTP_VERSION_2"],
    "protocols": ["PROTOCOL_CONNECT"],
    "codecs": ["CODEC_PROTO", "CODEC_JSON"],
    "compressions": ["COMPRESSION_IDENTITY", "COMPRESSION_GZIP"],
    "streamTypes": ["STREAM_TYPE_UNARY"],
    "supportsConnectGet": True,
}


# grpc/doc/http-grpc-status-mapping.md gives 431 a line of its own (INTERNAL); the tests count it among the others.
TOO_LARGE = ("--known-failing", "**/request-header-fields-too-large")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own protos, generated."""
    folder = tmp_path_factory.mktemp("conformance")
    protos = go_sources(MODULE, VERSION) / "proto"
    generate([protos], folder, messages="protobuf")
    return folder


@pytest.mark.parametrize(
    ("mode", "protocol", "features", "known", "least"),
    [
        ("server", "gRPC", GRPC, (), 700),
        ("client", "gRPC", GRPC, TOO_LARGE, 700),
        ("server", "Connect unary", CONNECT, (), 600),
    ],
    ids=["grpc-server", "grpc-client", "connect-server"],
)
async def test_every_case(
    mode: str,
    protocol: str,
    features: dict[str, object],
    known: tuple[str, ...],
    least: int,
    generated: Path,
    tmp_path: Path,
    cell: Callable[..., None],
) -> None:
    pair = "connect-go -> meshkit" if mode == "server" else "meshkit -> connect-go"
    case = f"connect conformance, {protocol}"
    cell(case, pair)
    binary = await asyncio.to_thread(go_binary, f"{MODULE}/cmd/connectconformance", VERSION)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"features": features}))
    process = await asyncio.create_subprocess_exec(
        *(str(binary), "--conf", str(config), "--mode", mode, "--max-servers", "2", *known, "--"),
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
    assert int(passed[1]) > least
    cell(case, pair, f"{passed[1]} cases")
