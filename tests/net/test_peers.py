"""Other people's gRPC at the far end: grpcio and grpclib, as clients and as servers."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import grpclib.client
import grpclib.const
import grpclib.encoding.base
import grpclib.server
import pytest
import trustme

from meshkit.net import Server, ServerOptions, TlsSettings, client_context, server_context
from meshkit.wire import Limits
from tests.support.calls import Service, connected, serving, start, unary
from tests.support.waiting import until

MIB = 1 << 20


# -- grpcio as the client


@asynccontextmanager
async def grpc_channel(target: str, credentials=None, **options):
    pairs = [("grpc." + name, value) for name, value in options.items()]
    make = (lambda: grpc.aio.secure_channel(target, credentials, options=pairs)) if credentials else (
        lambda: grpc.aio.insecure_channel(target, options=pairs)
    )  # fmt: skip
    channel = make()
    try:
        yield channel
    finally:
        await channel.close()


async def test_grpcio_calls_us():
    async with serving() as (port, service, _), grpc_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/test.Echo/Echo")(
            b"hello", timeout=5, metadata=(("x-user", "ada"), ("k-bin", b"\0"))
        )
        assert await call == b"hello"
        fields = dict(service.handlers[0].stream.fields)
        assert fields[b"x-user"] == b"ada"
        assert service.handlers[0].stream.deadline is not None


async def test_grpcio_calls_us_many_at_once():
    async with serving() as (port, _, _), grpc_channel(f"127.0.0.1:{port}") as channel:
        echo = channel.unary_unary("/test.Echo/Echo")
        replies = await asyncio.gather(*(echo(b"%d" % number) for number in range(200)))
        assert replies == [b"%d" % number for number in range(200)]


async def test_grpcio_sends_and_gets_large_messages():
    options = ServerOptions(limits=Limits(max_receive_message=16 * MIB))
    async with (
        serving(options) as (port, _, _),
        grpc_channel(f"127.0.0.1:{port}", max_receive_message_length=-1) as channel,
    ):
        body = bytes(range(256)) * (10 * MIB // 256)
        assert await channel.unary_unary("/test.Echo/Echo")(body) == body


async def test_grpcio_streams_with_us():
    async with serving() as (port, _, _), grpc_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/test.Echo/Chat")()
        for text in (b"one", b"two"):
            await call.write(text)
            assert await call.read() == text
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF
        assert await call.code() == grpc.StatusCode.OK


async def test_grpcio_reads_our_errors():
    async with serving() as (port, _, _), grpc_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.Echo/Fail")(b"")
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == "not now: 100 % é"
        assert dict(caught.value.trailing_metadata())["x-why"] == "because"


async def test_grpcio_compresses():
    async with serving() as (port, service, _), grpc_channel(f"127.0.0.1:{port}") as channel:
        echo = channel.unary_unary("/test.Echo/Echo")
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            assert await echo(b"x" * 10_000, compression=compression) == b"x" * 10_000
        assert dict(service.handlers[0].stream.fields)[b"grpc-encoding"] == b"gzip"


async def test_grpcio_cancels():
    async with serving() as (port, service, _), grpc_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/test.Echo/Hang")(b"")
        await until(lambda: service.handlers and service.handlers[0].messages)
        call.cancel()
        await until(lambda: service.handlers[0].cancelled == "reset")


async def test_grpcio_meets_our_deadline():
    async with serving() as (port, service, _), grpc_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.Echo/Hang")(b"", timeout=1.0)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: service.handlers[0].cancelled)


async def test_grpcio_survives_our_graceful_close():
    async with serving() as (port, service, server), grpc_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/test.Echo/Chat")()
        await call.write(b"a")
        assert await call.read() == b"a"
        closing = asyncio.ensure_future(server.close(30.0))
        await asyncio.sleep(0.05)
        await call.write(b"b")
        assert await call.read() == b"b"
        await call.done_writing()
        assert await call.code() == grpc.StatusCode.OK
        await asyncio.wait_for(closing, 30)


async def test_grpcio_over_a_unix_socket(tmp_path):
    service = Service()
    server = Server(service.accept)
    await server.listen(path=str(tmp_path / "s"))
    async with grpc_channel(f"unix:{tmp_path}/s") as channel:
        assert await channel.unary_unary("/test.Echo/Echo")(b"x") == b"x"
    await server.close()


@pytest.mark.capability("gRPC interop cases: their client, our server, over TLS", peer="grpcio")
async def test_grpcio_over_tls(tmp_path):
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with (
        serving(tls=TlsSettings(server_context(cert=tmp_path / "server.pem"))) as (port, _, _),
        grpc_channel(f"localhost:{port}", credentials) as channel,
    ):
        assert await channel.unary_unary("/test.Echo/Echo")(b"x" * MIB) == b"x" * MIB


# -- grpcio as the server


class Generic(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        self.started, self.cancelled = asyncio.Event(), asyncio.Event()

    def service(self, details):
        return {
            "/test.Echo/Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "/test.Echo/Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "/test.Echo/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "/test.Echo/Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }.get(details.method)

    async def echo(self, request, context):
        return request

    async def chat(self, requests, context):
        async for request in requests:
            yield request

    async def fail(self, request, context):
        context.set_trailing_metadata((("x-why", "because"),))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % é")

    async def hang(self, request, context):
        self.started.set()
        try:
            await asyncio.sleep(30)
        finally:
            self.cancelled.set()


@asynccontextmanager
async def grpc_server(credentials=None, **options):
    pairs = [("grpc." + name, value) for name, value in options.items()]
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), *pairs])
    handler = Generic()
    server.add_generic_rpc_handlers((handler,))
    port = (
        server.add_secure_port("localhost:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    )
    await server.start()
    try:
        yield port, handler, server
    finally:
        await server.stop(None)


async def test_we_call_grpcio():
    async with grpc_server() as (port, _, _), connected(port) as connection:
        calls = [unary(connection, b"%d" % number) for number in range(300)]
        for number, call in enumerate(calls):
            assert (await call.outcome()).status == 0
            assert call.messages == [b"%d" % number]


async def test_we_stream_with_grpcio():
    async with grpc_server() as (port, _, _), connected(port) as connection:
        call = start(connection, b"/test.Echo/Chat")
        for number in range(50):
            call.stream.send(bytes(number * 1000))
            assert await call.next() == bytes(number * 1000)
        call.stream.end()
        assert (await call.outcome()).status == 0


async def test_grpcio_sends_us_large_messages():
    async with grpc_server(max_receive_message_length=-1) as (port, _, _), connected(port) as connection:
        body = bytes(range(256)) * (12 * MIB // 256)
        call = unary(connection, body, max_receive=64 * MIB)
        assert (await call.outcome()).status == 0
        assert call.messages == [body]


async def test_we_read_grpcios_errors():
    async with grpc_server() as (port, _, _), connected(port) as connection:
        outcome = await start(connection, b"/test.Echo/Fail", message=b"", end=True).outcome()
        assert (outcome.status, outcome.message) == (9, "not now: 100 % é")
        assert dict(outcome.trailers)[b"x-why"] == b"because"
        outcome = await start(connection, b"/test.Echo/None", message=b"", end=True).outcome()
        assert outcome.status == 12


async def test_we_cancel_at_grpcio():
    async with grpc_server() as (port, handler, _), connected(port) as connection:
        call = start(connection, b"/test.Echo/Hang", message=b"", end=True)
        await asyncio.wait_for(handler.started.wait(), 30)
        call.stream.cancel()
        await asyncio.wait_for(handler.cancelled.wait(), 30)


async def test_grpcios_limit_of_streams_is_waited_for():
    async with grpc_server(max_concurrent_streams=3) as (port, _, _), connected(port) as connection:
        calls = [unary(connection, b"%d" % number) for number in range(30)]
        outcomes = [await call.outcome() for call in calls]
        # grpcio counts a stream for a moment after it sent its trailers, and refuses one that is early by that much
        assert all(outcome.status == 0 or outcome.unprocessed for outcome in outcomes)
        assert sum(outcome.status == 0 for outcome in outcomes) > 20


@pytest.mark.capability("graceful drain loses no call", peer="grpcio")
async def test_grpcios_graceful_stop_loses_nothing():
    async with grpc_server() as (port, _, server), connected(port) as connection:
        call = start(connection, b"/test.Echo/Chat")
        call.stream.send(b"a")
        assert await call.next() == b"a"
        stopping = asyncio.ensure_future(server.stop(30))
        await until(lambda: not connection.ready)
        call.stream.send(b"b")
        assert await call.next() == b"b"
        call.stream.end()
        assert (await call.outcome()).status == 0
        await stopping


async def test_grpcio_killed_is_unavailable():
    async with grpc_server() as (port, handler, server), connected(port) as connection:
        call = start(connection, b"/test.Echo/Hang", message=b"", end=True)
        await asyncio.wait_for(handler.started.wait(), 30)
        await server.stop(None)
        assert (await call.outcome()).status in (1, 14)


@pytest.mark.capability("gRPC interop cases: our client, their server, over TLS", peer="grpcio")
async def test_grpcios_tls(tmp_path):
    authority = trustme.CA()
    cert = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    credentials = grpc.ssl_server_credentials(
        [(cert.private_key_pem.bytes(), b"".join(pem.bytes() for pem in cert.cert_chain_pems))]
    )
    tls = TlsSettings(client_context(ca=tmp_path / "ca.pem"))
    async with grpc_server(credentials) as (port, _, _), connected(f"localhost:{port}", tls=tls) as connection:
        assert (await unary(connection).outcome()).status == 0


# -- grpclib


class Raw(grpclib.encoding.base.CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class GrpclibEcho:
    def __mapping__(self):
        unary_unary, stream_stream = grpclib.const.Cardinality.UNARY_UNARY, grpclib.const.Cardinality.STREAM_STREAM
        return {
            "/test.Echo/Echo": grpclib.const.Handler(self.echo, unary_unary, bytes, bytes),
            "/test.Echo/Chat": grpclib.const.Handler(self.chat, stream_stream, bytes, bytes),
        }

    async def echo(self, stream):
        await stream.send_message(await stream.recv_message())

    async def chat(self, stream):
        async for message in stream:
            await stream.send_message(message)


async def test_grpclib_calls_us():
    async with serving() as (port, _, _):
        channel = grpclib.client.Channel("127.0.0.1", port, codec=Raw())
        echo = grpclib.client.UnaryUnaryMethod(channel, "/test.Echo/Echo", bytes, bytes)
        replies = await asyncio.gather(*(echo(b"%d" % number, timeout=5) for number in range(50)))
        assert replies == [b"%d" % number for number in range(50)]
        chat = grpclib.client.StreamStreamMethod(channel, "/test.Echo/Chat", bytes, bytes)
        async with chat.open() as stream:
            await stream.send_message(b"x" * 300_000)
            assert await stream.recv_message() == b"x" * 300_000
            await stream.end()
            assert await stream.recv_message() is None
        channel.close()


async def test_we_call_grpclib():
    server = grpclib.server.Server([GrpclibEcho()], codec=Raw())
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]
    async with connected(port) as connection:
        calls = [unary(connection, b"%d" % number) for number in range(50)]
        assert [(await call.outcome()).status for call in calls] == [0] * 50
        call = start(connection, b"/test.Echo/Chat")
        call.stream.send(b"x" * 300_000)
        assert await call.next() == b"x" * 300_000
        call.stream.end()
        assert (await call.outcome()).status == 0
        missing = await start(connection, b"/test.Echo/None", message=b"", end=True).outcome()
        assert missing.status == 12
    server.close()
    await server.wait_closed()
