"""gRPC's interop cases as our client plays them, and the test service on our server.

The cases, their names, sizes and texts are those of grpc/doc/interop-test-descriptions.md. Each is a function that
raises where the server does not behave; `COMPRESSED` ones look at the size of what went over the wire, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import pytest

from meshkit.errors import Cancelled, DeadlineExceeded, InvalidArgument, Unimplemented, Unknown, error_for
from meshkit.net import TlsSettings
from meshkit.rpc import CallOptions, Channel, Context
from meshkit.status import status_of
from tests.support.gen.grpc.testing import (
    BoolValue,
    EchoStatus,
    Empty,
    Payload,
    ResponseParameters,
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)
from tests.support.gen.grpc.testing.test_mesh import TestServiceBase, TestServiceClient, UnimplementedServiceClient
from tests.support.tap import Tap, tapped

__all__ = [
    "CASES",
    "COMPRESSED",
    "ECHO_INITIAL",
    "ECHO_TRAILING",
    "LARGE_REPLY",
    "LARGE_REQUEST",
    "REPLIES",
    "REQUESTS",
    "SPECIAL_MESSAGE",
    "InteropService",
    "Peer",
    "play",
]

LARGE_REQUEST, LARGE_REPLY = 271_828, 314_159
REQUESTS = (27_182, 8, 1_828, 45_904)
REPLIES = (31_415, 9, 2_653, 58_979)
SMALL = 20_000  # bytes that no uncompressed large message fits into, and all compressed ones of a case do
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
ECHO_INITIAL, ECHO_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
TIMEOUT = 20.0
GZIP = CallOptions(compression="gzip")
ZIPPED_REPLIES = CallOptions(accept_compression=True)


class Peer(NamedTuple):
    """A server under test: clients of it, and the tap in front of it."""

    test: TestServiceClient
    missing: UnimplementedServiceClient
    tap: Tap


# -- the service


class InteropService(TestServiceBase):
    """grpc.testing.TestService. A request that says so must come compressed."""

    async def empty_call(self, request: Empty, ctx: Context, /) -> Empty:
        return request

    async def unary_call(self, request: SimpleRequest, ctx: Context, /) -> SimpleResponse:
        _must_be_compressed(request.expect_compressed, ctx)
        _echo(ctx)
        _fail(request.response_status)
        ctx.compression = _encoding(request.response_compressed)
        return SimpleResponse(payload=_payload(request.response_size))

    async def streaming_output_call(
        self, request: StreamingOutputCallRequest, ctx: Context, /
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        for wanted in request.response_parameters:
            ctx.compression = _encoding(wanted.compressed)
            yield StreamingOutputCallResponse(payload=_payload(wanted.size))

    async def streaming_input_call(
        self, requests: AsyncIterator[StreamingInputCallRequest], ctx: Context, /
    ) -> StreamingInputCallResponse:
        total = 0
        async for request in requests:
            _must_be_compressed(request.expect_compressed, ctx)
            total += len(request.payload.body) if request.payload else 0
        return StreamingInputCallResponse(aggregated_payload_size=total)

    async def full_duplex_call(
        self, requests: AsyncIterator[StreamingOutputCallRequest], ctx: Context, /
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        _echo(ctx)
        async for request in requests:
            _fail(request.response_status)
            for wanted in request.response_parameters:
                yield StreamingOutputCallResponse(payload=_payload(wanted.size))


def _payload(size: int) -> Payload:
    return Payload(body=bytes(size))


def _fail(status: EchoStatus | None) -> None:
    if status is not None and status.code:
        raise error_for(status_of(status.code), status.message)


def _echo(ctx: Context) -> None:
    if ECHO_INITIAL in ctx.metadata:
        ctx.set_initial_metadata({ECHO_INITIAL: ctx.metadata[ECHO_INITIAL]})
    if ECHO_TRAILING in ctx.metadata:
        ctx.set_trailing_metadata({ECHO_TRAILING: ctx.metadata[ECHO_TRAILING]})


def _encoding(wanted: BoolValue | None) -> str | None:
    return "gzip" if wanted is not None and wanted.value else None


def _must_be_compressed(expected: BoolValue | None, ctx: Context) -> None:
    if expected is not None and expected.value and ctx.header(b"grpc-encoding") in (None, "identity"):
        raise InvalidArgument("this request should have been compressed")


# -- the cases


async def empty_unary(peer: Peer) -> None:
    assert await peer.test.empty_call(Empty(), timeout=TIMEOUT) == Empty()


async def large_unary(peer: Peer) -> None:
    request = SimpleRequest(response_size=LARGE_REPLY, payload=_payload(LARGE_REQUEST))
    reply = await peer.test.unary_call(request, timeout=TIMEOUT)
    assert reply.payload == _payload(LARGE_REPLY)


async def client_streaming(peer: Peer) -> None:
    requests = [StreamingInputCallRequest(payload=_payload(size)) for size in REQUESTS]
    reply = await peer.test.streaming_input_call(requests, timeout=TIMEOUT)
    assert reply.aggregated_payload_size == sum(REQUESTS) == 74_922


async def server_streaming(peer: Peer) -> None:
    request = StreamingOutputCallRequest(response_parameters=_wanted(*REPLIES))
    replies = [reply async for reply in peer.test.streaming_output_call(request, timeout=TIMEOUT)]
    assert _sizes(replies) == list(REPLIES)


async def ping_pong(peer: Peer) -> None:
    async with peer.test.full_duplex_call(timeout=TIMEOUT) as call:
        for sent, wanted in zip(REQUESTS, REPLIES, strict=True):
            await call.send(_duplex(sent, wanted))
            reply = await call.recv()
            assert reply is not None
            assert reply.payload == _payload(wanted)
        await call.end()
        assert await call.recv() is None


async def empty_stream(peer: Peer) -> None:
    async with peer.test.full_duplex_call(timeout=TIMEOUT) as call:
        await call.end()
        assert await call.recv() is None


async def timeout_on_sleeping_server(peer: Peer) -> None:
    async with peer.test.full_duplex_call(timeout=0.001) as call:
        with pytest.raises(DeadlineExceeded):
            await call.send(StreamingOutputCallRequest(payload=_payload(27_182)))
            await call.recv()


async def cancel_after_begin(peer: Peer) -> None:
    async with peer.test.streaming_input_call(metadata={"key1": "value1"}, timeout=TIMEOUT) as call:
        call.cancel()
        with pytest.raises(Cancelled):
            await call.finish()


async def cancel_after_first_response(peer: Peer) -> None:
    async with peer.test.full_duplex_call(timeout=TIMEOUT) as call:
        await call.send(_duplex(27_182, 31_415))
        assert await call.recv() is not None
        call.cancel()
        with pytest.raises(Cancelled):
            await call.recv()


async def status_code_and_message(peer: Peer) -> None:
    status = EchoStatus(code=2, message="test status message")
    with pytest.raises(Unknown) as caught:
        await peer.test.unary_call(SimpleRequest(response_status=status), timeout=TIMEOUT)
    assert caught.value.message == status.message
    with pytest.raises(Unknown) as caught:
        async for _ in peer.test.full_duplex_call([StreamingOutputCallRequest(response_status=status)]):
            pass
    assert caught.value.message == status.message


async def special_status_message(peer: Peer) -> None:
    status = EchoStatus(code=2, message=SPECIAL_MESSAGE)
    with pytest.raises(Unknown) as caught:
        await peer.test.unary_call(SimpleRequest(response_status=status), timeout=TIMEOUT)
    assert caught.value.message == SPECIAL_MESSAGE


async def unimplemented_method(peer: Peer) -> None:
    with pytest.raises(Unimplemented):
        await peer.test.unimplemented_call(Empty(), timeout=TIMEOUT)


async def unimplemented_service(peer: Peer) -> None:
    with pytest.raises(Unimplemented):
        await peer.missing.unimplemented_call(Empty(), timeout=TIMEOUT)


async def custom_metadata(peer: Peer) -> None:
    metadata = {ECHO_INITIAL: "test_initial_metadata_value", ECHO_TRAILING: b"\xab\xab\xab"}
    request = SimpleRequest(response_size=LARGE_REPLY, payload=_payload(LARGE_REQUEST))
    unary = peer.test.unary_call(request, metadata=metadata, timeout=TIMEOUT)
    await unary
    assert unary.initial_metadata()[ECHO_INITIAL] == metadata[ECHO_INITIAL]
    assert unary.trailing_metadata()[ECHO_TRAILING] == metadata[ECHO_TRAILING]
    async with peer.test.full_duplex_call(metadata=metadata, timeout=TIMEOUT) as call:
        await call.send(_duplex(LARGE_REQUEST, LARGE_REPLY))
        await call.end()
        assert (await call.initial_metadata())[ECHO_INITIAL] == metadata[ECHO_INITIAL]
        assert await call.recv() is not None
        assert await call.recv() is None
        assert call.trailing_metadata()[ECHO_TRAILING] == metadata[ECHO_TRAILING]


async def client_compressed_unary(peer: Peer) -> None:
    request = SimpleRequest(
        expect_compressed=BoolValue(value=True), response_size=LARGE_REPLY, payload=_payload(LARGE_REQUEST)
    )
    reply = await peer.test.unary_call(request, timeout=TIMEOUT, options=GZIP)
    assert reply.payload == _payload(LARGE_REPLY)
    assert peer.tap.up < SMALL
    plain = SimpleRequest(expect_compressed=BoolValue(value=False), response_size=1, payload=_payload(LARGE_REQUEST))
    await peer.test.unary_call(plain, timeout=TIMEOUT)
    assert peer.tap.up > LARGE_REQUEST


async def client_compressed_streaming(peer: Peer) -> None:
    requests = [
        StreamingInputCallRequest(expect_compressed=BoolValue(value=size > 64), payload=_payload(size))
        for size in REQUESTS  # the one of 8 bytes goes uncompressed in the midst of the others
    ]
    reply = await peer.test.streaming_input_call(requests, timeout=TIMEOUT, options=GZIP)
    assert reply.aggregated_payload_size == sum(REQUESTS)
    assert peer.tap.up < SMALL


async def server_compressed_unary(peer: Peer) -> None:
    for compressed in (True, False):
        before = peer.tap.down
        request = SimpleRequest(response_compressed=BoolValue(value=compressed), response_size=LARGE_REPLY)
        reply = await peer.test.unary_call(request, timeout=TIMEOUT, options=ZIPPED_REPLIES)
        assert reply.payload == _payload(LARGE_REPLY)
        assert (peer.tap.down - before < SMALL) is compressed


async def server_compressed_streaming(peer: Peer) -> None:
    wanted = [ResponseParameters(size=31_415, compressed=BoolValue(value=True)), ResponseParameters(size=92_653)]
    request = StreamingOutputCallRequest(response_parameters=wanted)
    call = peer.test.streaming_output_call(request, timeout=TIMEOUT, options=ZIPPED_REPLIES)
    replies = [reply async for reply in call]
    assert _sizes(replies) == [31_415, 92_653]
    assert 92_653 < peer.tap.down < 92_653 + SMALL


def _wanted(*sizes: int) -> list[ResponseParameters]:
    return [ResponseParameters(size=size) for size in sizes]


def _duplex(sent: int, wanted: int) -> StreamingOutputCallRequest:
    return StreamingOutputCallRequest(response_parameters=_wanted(wanted), payload=_payload(sent))


def _sizes(replies: Sequence[StreamingOutputCallResponse]) -> list[int]:
    return [len(reply.payload.body) if reply.payload else 0 for reply in replies]


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


async def play(case: Case, address: str, *, tls: TlsSettings | None = None) -> None:
    """Play ``case`` with the server at ``address``."""
    async with tapped(address) as tap, Channel(tap.address, tls=tls) as channel:
        await case(Peer(TestServiceClient(channel), UnimplementedServiceClient(channel), tap))
