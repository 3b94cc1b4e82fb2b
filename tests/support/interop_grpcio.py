"""gRPC's interop cases as grpc.aio's client plays them, and the test service on grpc.aio's server.

Messages are protobuf's own, so that neither side shares code with ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import pytest

from tests.support.interop_cases import (
    ECHO_INITIAL,
    ECHO_TRAILING,
    LARGE_REPLY,
    LARGE_REQUEST,
    REPLIES,
    REQUESTS,
    SMALL,
    SPECIAL_MESSAGE,
)
from tests.support.pb.grpc.testing import empty_pb2, messages_pb2
from tests.support.tap import Tap, tapped

__all__ = ["CASES", "COMPRESSED", "play", "serving"]

SERVICE = "/grpc.testing.TestService/"
TIMEOUT = 20.0


# -- the server


class _Service(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        return _HANDLERS.get(details.method)


async def _empty_call(request: Any, context: Any) -> Any:
    return request


async def _unary_call(request: Any, context: Any) -> Any:
    await _echo(context)
    await _fail(request.response_status, context)
    if request.response_compressed.value:
        context.set_compression(grpc.Compression.Gzip)
        await context.send_initial_metadata(())  # grpc.aio forgets about compression where it sends them by itself
    return messages_pb2.SimpleResponse(payload=_payload(request.response_size))


async def _streaming_output_call(request: Any, context: Any) -> Any:
    if any(wanted.compressed.value for wanted in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    for wanted in request.response_parameters:
        if not wanted.compressed.value:
            context.disable_next_message_compression()
        yield messages_pb2.StreamingOutputCallResponse(payload=_payload(wanted.size))


async def _streaming_input_call(requests: Any, context: Any) -> Any:
    total = 0
    async for request in requests:
        total += len(request.payload.body)
    return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=total)


async def _full_duplex_call(requests: Any, context: Any) -> Any:
    await _echo(context)
    async for request in requests:
        await _fail(request.response_status, context)
        for wanted in request.response_parameters:
            yield messages_pb2.StreamingOutputCallResponse(payload=_payload(wanted.size))


async def _echo(context: Any) -> None:
    given = dict(context.invocation_metadata())
    if ECHO_INITIAL in given:
        await context.send_initial_metadata(((ECHO_INITIAL, given[ECHO_INITIAL]),))
    if ECHO_TRAILING in given:
        context.set_trailing_metadata(((ECHO_TRAILING, given[ECHO_TRAILING]),))


async def _fail(status: Any, context: Any) -> None:
    if status.code:
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        await context.abort(code, status.message)


def _payload(size: int) -> Any:
    return messages_pb2.Payload(body=bytes(size))


class _Rpc(NamedTuple):
    """How both sides of grpc.aio make one method: the kind's name, and the classes of messages."""

    kind: str
    request: Any
    reply: Any


_RPCS = {
    "EmptyCall": _Rpc("unary_unary", empty_pb2.Empty, empty_pb2.Empty),
    "UnaryCall": _Rpc("unary_unary", messages_pb2.SimpleRequest, messages_pb2.SimpleResponse),
    "StreamingOutputCall": _Rpc(
        "unary_stream", messages_pb2.StreamingOutputCallRequest, messages_pb2.StreamingOutputCallResponse
    ),
    "StreamingInputCall": _Rpc(
        "stream_unary", messages_pb2.StreamingInputCallRequest, messages_pb2.StreamingInputCallResponse
    ),
    "FullDuplexCall": _Rpc(
        "stream_stream", messages_pb2.StreamingOutputCallRequest, messages_pb2.StreamingOutputCallResponse
    ),
}


def _handler(name: str, function: Any) -> Any:
    rpc = _RPCS[name]
    make = getattr(grpc, rpc.kind + "_rpc_method_handler")
    return make(function, request_deserializer=rpc.request.FromString, response_serializer=rpc.reply.SerializeToString)


_HANDLERS = {
    SERVICE + name: _handler(name, function)
    for name, function in (
        ("EmptyCall", _empty_call),
        ("UnaryCall", _unary_call),
        ("StreamingOutputCall", _streaming_output_call),
        ("StreamingInputCall", _streaming_input_call),
        ("FullDuplexCall", _full_duplex_call),
    )
}


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """grpc.aio's server with the test service; gives its address."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


# -- the client


class Peer(NamedTuple):
    channel: grpc.aio.Channel
    tap: Tap

    def stub(self, name: str) -> Any:
        rpc = _RPCS[name]
        make = getattr(self.channel, rpc.kind)
        return make(SERVICE + name, rpc.request.SerializeToString, rpc.reply.FromString)


async def empty_unary(peer: Peer) -> None:
    assert await peer.stub("EmptyCall")(empty_pb2.Empty(), timeout=TIMEOUT) == empty_pb2.Empty()


async def large_unary(peer: Peer) -> None:
    reply = await peer.stub("UnaryCall")(_large(), timeout=TIMEOUT)
    assert reply.payload == _payload(LARGE_REPLY)


async def client_streaming(peer: Peer) -> None:
    requests = [messages_pb2.StreamingInputCallRequest(payload=_payload(size)) for size in REQUESTS]
    reply = await peer.stub("StreamingInputCall")(iter(requests), timeout=TIMEOUT)
    assert reply.aggregated_payload_size == 74_922


async def server_streaming(peer: Peer) -> None:
    call = peer.stub("StreamingOutputCall")(_wanted(*REPLIES), timeout=TIMEOUT)
    assert [len(reply.payload.body) async for reply in call] == list(REPLIES)


async def ping_pong(peer: Peer) -> None:
    call = peer.stub("FullDuplexCall")(timeout=TIMEOUT)
    for sent, wanted in zip(REQUESTS, REPLIES, strict=True):
        await call.write(_duplex(sent, wanted))
        assert (await call.read()).payload == _payload(wanted)
    await call.done_writing()
    assert await call.read() == grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def empty_stream(peer: Peer) -> None:
    call = peer.stub("FullDuplexCall")(timeout=TIMEOUT)
    await call.done_writing()
    assert await call.read() == grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def timeout_on_sleeping_server(peer: Peer) -> None:
    await peer.stub("EmptyCall")(empty_pb2.Empty())  # connected: what is late now is the answer
    call = peer.stub("FullDuplexCall")(timeout=0.001)
    with pytest.raises(grpc.aio.AioRpcError):
        await call.write(_duplex(27_182))
        await call.read()
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def cancel_after_begin(peer: Peer) -> None:
    call = peer.stub("StreamingInputCall")(metadata=(("key1", "value1"),), timeout=TIMEOUT)
    await call.wait_for_connection()
    assert call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED


async def cancel_after_first_response(peer: Peer) -> None:
    call = peer.stub("FullDuplexCall")(timeout=TIMEOUT)
    await call.write(_duplex(27_182, 31_415))
    assert (await call.read()).payload == _payload(31_415)
    assert call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED


async def status_code_and_message(peer: Peer) -> None:
    status = messages_pb2.EchoStatus(code=2, message="test status message")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await peer.stub("UnaryCall")(messages_pb2.SimpleRequest(response_status=status), timeout=TIMEOUT)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNKNOWN, status.message)
    call = peer.stub("FullDuplexCall")(timeout=TIMEOUT)
    await call.write(messages_pb2.StreamingOutputCallRequest(response_status=status))
    await call.done_writing()
    assert (await call.code(), await call.details()) == (grpc.StatusCode.UNKNOWN, status.message)


async def special_status_message(peer: Peer) -> None:
    status = messages_pb2.EchoStatus(code=2, message=SPECIAL_MESSAGE)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await peer.stub("UnaryCall")(messages_pb2.SimpleRequest(response_status=status), timeout=TIMEOUT)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNKNOWN, SPECIAL_MESSAGE)


async def unimplemented_method(peer: Peer) -> None:
    await _unimplemented(peer, SERVICE + "UnimplementedCall")


async def unimplemented_service(peer: Peer) -> None:
    await _unimplemented(peer, "/grpc.testing.UnimplementedService/UnimplementedCall")


async def _unimplemented(peer: Peer, path: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await peer.channel.unary_unary(path)(b"", timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def custom_metadata(peer: Peer) -> None:
    metadata = ((ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab"))
    unary = peer.stub("UnaryCall")(_large(), metadata=metadata, timeout=TIMEOUT)
    await unary
    duplex = peer.stub("FullDuplexCall")(metadata=metadata, timeout=TIMEOUT)
    await duplex.write(_duplex(LARGE_REQUEST, LARGE_REPLY))
    assert (await duplex.read()).payload == _payload(LARGE_REPLY)
    await duplex.done_writing()
    for call in (unary, duplex):
        assert dict(await call.initial_metadata())[ECHO_INITIAL] == "test_initial_metadata_value"
        assert dict(await call.trailing_metadata())[ECHO_TRAILING] == b"\xab\xab\xab"


async def client_compressed_unary(peer: Peer) -> None:
    probe = _large(expect_compressed=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:  # the server must see that this one is not compressed
        await peer.stub("UnaryCall")(probe, timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (before := peer.tap.up) > LARGE_REQUEST
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        reply = await peer.stub("UnaryCall")(probe, compression=compression, timeout=TIMEOUT)
        assert reply.payload == _payload(LARGE_REPLY)
    assert peer.tap.up - before < SMALL


async def client_compressed_streaming(peer: Peer) -> None:
    def requests() -> Any:
        for size in REQUESTS:
            yield messages_pb2.StreamingInputCallRequest(
                payload=_payload(size), expect_compressed=messages_pb2.BoolValue(value=True)
            )

    call = peer.stub("StreamingInputCall")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(requests(), timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    before = peer.tap.up
    reply = await call(requests(), compression=grpc.Compression.Gzip, timeout=TIMEOUT)
    assert reply.aggregated_payload_size == 74_922
    assert peer.tap.up - before < SMALL


async def server_compressed_unary(peer: Peer) -> None:
    for compressed in (True, False):
        before = peer.tap.down
        request = messages_pb2.SimpleRequest(
            response_size=LARGE_REPLY, response_compressed=messages_pb2.BoolValue(value=compressed)
        )
        reply = await peer.stub("UnaryCall")(request, timeout=TIMEOUT)
        assert reply.payload == _payload(LARGE_REPLY)
        assert (peer.tap.down - before < SMALL) is compressed


async def server_compressed_streaming(peer: Peer) -> None:
    request = _wanted(31_415, 92_653)
    request.response_parameters[0].compressed.value = True
    call = peer.stub("StreamingOutputCall")(request, timeout=TIMEOUT)
    assert [len(reply.payload.body) async for reply in call] == [31_415, 92_653]
    assert 92_653 < peer.tap.down < 92_653 + SMALL


def _large(*, expect_compressed: bool = False) -> Any:
    request = messages_pb2.SimpleRequest(response_size=LARGE_REPLY, payload=_payload(LARGE_REQUEST))
    if expect_compressed:
        request.expect_compressed.value = True
    return request


def _wanted(*sizes: int) -> Any:
    wanted = [messages_pb2.ResponseParameters(size=size) for size in sizes]
    return messages_pb2.StreamingOutputCallRequest(response_parameters=wanted)


def _duplex(sent: int, *wanted: int) -> Any:
    request = _wanted(*wanted)
    request.payload.CopyFrom(_payload(sent))
    return request


Case = Callable[[Peer], Awaitable[None]]

CASES: Mapping[str, Case] = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_streaming,
        server_streaming,
        ping_pong,
        empty_stream,
        timeout_on_sleeping_server,
        cancel_after_begin,
        cancel_after_first_response,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
        custom_metadata,
    )
}
COMPRESSED: Mapping[str, Case] = {
    case.__name__: case
    for case in (
        client_compressed_unary,
        client_compressed_streaming,
        server_compressed_unary,
        server_compressed_streaming,
    )
}


async def play(case: Case, address: str) -> None:
    """Play ``case`` with the server at ``address``."""
    async with tapped(address) as tap, grpc.aio.insecure_channel(tap.address) as channel:
        await case(Peer(channel, tap))
