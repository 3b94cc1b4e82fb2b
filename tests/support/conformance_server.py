"""Our server under Connect's conformance tests: ``python -m tests.support.conformance_server``, told what on stdin."""

from __future__ import annotations

import asyncio
import math
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from connectrpc.conformance.v1 import config_pb2, server_compat_pb2, service_pb2  # type: ignore[import-untyped]
from connectrpc.conformance.v1.service_mesh import ConformanceServiceBase  # type: ignore[import-untyped]
from google.protobuf import any_pb2

from meshkit.codec.wellknown import Any as AnyMessage
from meshkit.errors import error_for
from meshkit.net import ServerOptions, TlsSettings, server_context
from meshkit.rpc import Context, Server
from meshkit.status import status_of
from meshkit.wire import Limits
from tests.support.conformance import decode_headers, encode_headers, read, write


class Conformance(ConformanceServiceBase):  # type: ignore[misc]
    """Does what the requests say, and tells what it saw."""

    async def unary(self, request: Any, ctx: Context, /) -> Any:
        return service_pb2.UnaryResponse(payload=await _one(request.response_definition, [request], ctx))

    async def idempotent_unary(self, request: Any, ctx: Context, /) -> Any:
        return service_pb2.IdempotentUnaryResponse(payload=await _one(request.response_definition, [request], ctx))

    async def client_stream(self, requests: AsyncIterator[Any], ctx: Context, /) -> Any:
        seen = [request async for request in requests]
        definition = seen[0].response_definition if seen else service_pb2.UnaryResponseDefinition()
        return service_pb2.ClientStreamResponse(payload=await _one(definition, seen, ctx))

    async def server_stream(self, request: Any, ctx: Context, /) -> AsyncIterator[Any]:
        definition = request.response_definition
        await _begin(definition, ctx)
        info = _info([request], ctx)
        for number, data in enumerate(definition.response_data):
            await asyncio.sleep(definition.response_delay_ms / 1000)
            payload = service_pb2.ConformancePayload(data=data, request_info=None if number else info)
            yield service_pb2.ServerStreamResponse(payload=payload)
        if definition.HasField("error"):
            raise _error(definition.error, None if definition.response_data else info)

    async def bidi_stream(self, requests: AsyncIterator[Any], ctx: Context, /) -> AsyncIterator[Any]:
        seen: list[Any] = []
        sent = 0
        definition = service_pb2.StreamResponseDefinition()
        full_duplex = False
        async for request in requests:
            seen.append(request)
            if definition is not None and len(seen) == 1 and sent == 0:
                definition, full_duplex = request.response_definition, request.full_duplex
                await _begin(definition, ctx)
            if full_duplex:
                if sent >= len(definition.response_data):
                    break
                yield await _reply(definition, sent, _info(seen, ctx) if sent == 0 else _requests(seen))
                sent += 1
                seen = []
        for number in range(sent, len(definition.response_data)):
            yield await _reply(definition, number, None if number else _info(seen, ctx))
            sent += 1
        if definition.HasField("error"):
            raise _error(definition.error, None if sent else _info(seen, ctx))


async def _one(definition: Any, requests: Sequence[Any], ctx: Context) -> Any:
    ctx.set_initial_metadata(decode_headers(definition.response_headers))
    ctx.set_trailing_metadata(decode_headers(definition.response_trailers))
    _compress(ctx)
    info = _info(requests, ctx)
    await asyncio.sleep(definition.response_delay_ms / 1000)
    if definition.HasField("error"):
        raise _error(definition.error, info)
    return service_pb2.ConformancePayload(data=definition.response_data, request_info=info)


async def _begin(definition: Any, ctx: Context) -> None:
    ctx.set_trailing_metadata(decode_headers(definition.response_trailers))
    _compress(ctx)
    ctx.set_initial_metadata(decode_headers(definition.response_headers))
    if definition.response_data:
        await ctx.send_initial_metadata()


async def _reply(definition: Any, number: int, info: Any) -> Any:
    await asyncio.sleep(definition.response_delay_ms / 1000)
    payload = service_pb2.ConformancePayload(data=definition.response_data[number], request_info=info)
    return service_pb2.BidiStreamResponse(payload=payload)


def _compress(ctx: Context) -> None:
    grpc = (ctx.header(b"content-type") or "").startswith("application/grpc")
    encoding = ctx.header(b"grpc-encoding") if grpc else "gzip"
    if encoding in ("gzip", "deflate"):
        ctx.compression = encoding


def _info(requests: Sequence[Any], ctx: Context) -> Any:
    info = _requests(requests)
    info.request_headers.extend(encode_headers(ctx.metadata))
    left = ctx.time_remaining()
    if left is not None:
        info.timeout_ms = math.ceil(left * 1000)
    return info


def _requests(requests: Sequence[Any]) -> Any:
    info = service_pb2.ConformancePayload.RequestInfo()
    for request in requests:
        packed = any_pb2.Any()
        packed.Pack(request)
        info.requests.append(packed)
    return info


def _error(error: Any, info: Any) -> Exception:
    details = [AnyMessage(detail.type_url, detail.value) for detail in error.details]
    if info is not None:
        packed = any_pb2.Any()
        packed.Pack(info)
        details.append(AnyMessage(packed.type_url, packed.value))
    return error_for(status_of(error.code), error.message, details)


def _tls(request: Any, folder: Path) -> TlsSettings | None:
    if not request.use_tls:
        return None
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(request.server_creds.cert)
    key.write_bytes(request.server_creds.key)
    return TlsSettings(server_context(cert=cert, key=key, ca=request.client_tls_cert or None))


async def main() -> None:
    request = read(server_compat_pb2.ServerCompatRequest)
    limits = Limits(max_receive_message=request.message_receive_limit) if request.message_receive_limit else Limits()
    with tempfile.TemporaryDirectory() as folder:
        tls = _tls(request, Path(folder))
        plain = request.protocol == config_pb2.PROTOCOL_CONNECT
        server = Server([Conformance()], options=ServerOptions(limits=limits), tls=tls, json=plain)
        port = await server.listen()
    write(server_compat_pb2.ServerCompatResponse(host="127.0.0.1", port=port, pem_cert=request.server_creds.cert))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.close()


if __name__ == "__main__":
    asyncio.run(main())
