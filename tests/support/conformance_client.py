"""Our client under Connect's conformance tests: ``python -m tests.support.conformance_client``, told what on stdin."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from connectrpc.conformance.v1 import (  # type: ignore[import-untyped]
    client_compat_pb2,
    config_pb2,
    service_pb2,
)
from connectrpc.conformance.v1.service_mesh import ConformanceServiceClient  # type: ignore[import-untyped]

from meshkit.errors import RpcError
from meshkit.net import ConnectionFailed, TlsSettings, client_context
from meshkit.rpc import CallOptions, Channel
from tests.support.conformance import decode_error, decode_headers, encode_headers, read, write

_ENCODINGS = {config_pb2.COMPRESSION_GZIP: "gzip", config_pb2.COMPRESSION_DEFLATE: "deflate"}
_AT_ONCE = 8


class Script:
    """One call: what the tests want of it, and what came of it."""

    def __init__(self, request: Any, client: Any) -> None:
        self.request = request
        self.client = client
        self.result = client_compat_pb2.ClientResponseResult()
        self.arguments = {
            "metadata": decode_headers(request.request_headers),
            "timeout": request.timeout_ms / 1000 if request.HasField("timeout_ms") else None,
            "options": CallOptions(
                compression=_ENCODINGS.get(request.compression), max_receive=request.message_receive_limit or None
            ),
        }

    def messages(self, kind: Any) -> list[Any]:
        """The requests to send."""
        return [kind.FromString(packed.value) for packed in self.request.request_messages]

    @property
    def pause(self) -> float:
        """Seconds to wait before each request."""
        return float(self.request.request_delay_ms) / 1000

    def cancel_after(self) -> float | None:
        """Seconds from the end of the requests to the time to cancel; None: not so."""
        cancel = self.request.cancel
        if not self.request.HasField("cancel") or cancel.WhichOneof("cancel_timing") in (
            "before_close_send",
            "after_num_responses",
        ):
            return None
        return float(cancel.after_close_send_ms) / 1000

    def cancels(self, timing: str) -> bool:
        """Whether this timing is asked for."""
        return bool(self.request.cancel.WhichOneof("cancel_timing") == timing)

    def received(self, payload: Any) -> bool:
        """Note a reply; true when the call is to be cancelled now."""
        self.result.payloads.append(payload)
        return self.cancels("after_num_responses") and len(self.result.payloads) == (
            self.request.cancel.after_num_responses
        )


async def unary(script: Script) -> None:
    name, kind = {
        "IdempotentUnary": ("idempotent_unary", service_pb2.IdempotentUnaryRequest),
        "Unimplemented": ("unimplemented", service_pb2.UnimplementedRequest),
    }.get(script.request.method, ("unary", service_pb2.UnaryRequest))
    (message,) = script.messages(kind)
    await asyncio.sleep(script.pause)
    call = getattr(script.client, name)(message, **script.arguments)
    timer = _cancelling(script, call)
    try:
        reply = await call
        if name != "unimplemented":
            script.received(reply.payload)
    finally:
        timer()
        script.result.response_headers.extend(encode_headers(call.initial_metadata()))
        script.result.response_trailers.extend(encode_headers(call.trailing_metadata()))


async def server_stream(script: Script) -> None:
    (message,) = script.messages(service_pb2.ServerStreamRequest)
    await asyncio.sleep(script.pause)
    async with _told(script, script.client.server_stream(message, **script.arguments)) as call:
        await _receive(script, call)


async def client_stream(script: Script) -> None:
    async with _told(script, script.client.client_stream(**script.arguments)) as call:
        await _send(script, call, service_pb2.ClientStreamRequest)
        if script.cancels("before_close_send"):
            call.cancel()
        timer = _cancelling(script, call)
        try:
            script.received((await call.finish()).payload)
        finally:
            timer()


async def bidi_stream(script: Script) -> None:
    async with _told(script, script.client.bidi_stream(**script.arguments)) as call:
        duplex = script.request.stream_type == config_pb2.STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM
        await _send(script, call, service_pb2.BidiStreamRequest, duplex=duplex)
        if script.cancels("before_close_send"):
            call.cancel()
        else:
            await call.end()
        await _receive(script, call)


async def _send(script: Script, call: Any, kind: Any, *, duplex: bool = False) -> None:
    """Send all; with ``duplex`` take one reply for each."""
    for message in script.messages(kind):
        await asyncio.sleep(script.pause)
        await call.send(message)
        if duplex:
            reply = await call.recv()
            if reply is None:
                return
            if script.received(reply.payload):
                call.cancel()


async def _receive(script: Script, call: Any) -> None:
    timer = _cancelling(script, call)
    try:
        while (reply := await call.recv()) is not None:
            if script.received(reply.payload):
                call.cancel()
    finally:
        timer()


def _cancelling(script: Script, call: Any) -> Callable[[], None]:
    """Cancel ``call`` when the script says so, unless the result is called before."""
    after = script.cancel_after()
    if after is None:
        return lambda: None
    return asyncio.get_running_loop().call_later(after, call.cancel).cancel


@asynccontextmanager
async def _told(script: Script, call: Any) -> AsyncIterator[Any]:
    """Run ``call``, and note its metadata at the end."""
    try:
        async with call:
            yield call
    finally:
        script.result.response_headers.extend(encode_headers(await call.initial_metadata()))
        script.result.response_trailers.extend(encode_headers(call.trailing_metadata()))


_SHAPES: dict[str, Callable[[Script], Awaitable[None]]] = {
    "ServerStream": server_stream,
    "ClientStream": client_stream,
    "BidiStream": bidi_stream,
}


def channel(request: Any) -> Channel:
    """A channel as ``request`` describes it."""
    address = f"{request.host}:{request.port}"
    if not request.server_tls_cert:
        return Channel(address)
    if not request.HasField("client_tls_creds"):
        return Channel(address, tls=TlsSettings(client_context(ca=request.server_tls_cert)))
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        cert.write_bytes(request.client_tls_creds.cert)
        key.write_bytes(request.client_tls_creds.key)
        return Channel(address, tls=TlsSettings(client_context(ca=request.server_tls_cert, cert=cert, key=key)))


async def perform(request: Any) -> Any:
    """The outcome of one request of the tests."""
    async with channel(request) as line:
        with suppress(ConnectionFailed):  # the call will say so
            await line._pool.connect()  # or its time would be missing in the timeout that the server is told
        script = Script(request, ConformanceServiceClient(line))
        try:
            await _SHAPES.get(request.method, unary)(script)
        except RpcError as error:
            script.result.error.CopyFrom(decode_error(error))
    return client_compat_pb2.ClientCompatResponse(test_name=request.test_name, response=script.result)


async def main() -> None:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def answer(request: Any) -> None:
        async with limit:
            write(await perform(request))

    async with asyncio.TaskGroup() as group:
        while (request := await asyncio.to_thread(read, client_compat_pb2.ClientCompatRequest)) is not None:
            group.create_task(answer(request))


if __name__ == "__main__":
    asyncio.run(main())
