"""grpclib's handlers on our server, and ours on grpclib's."""

from __future__ import annotations

from typing import Any

import grpclib.client
import pytest
from grpclib.client import Channel as GrpclibChannel
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError, ProtocolError
from grpclib.health.check import ServiceStatus
from grpclib.health.service import Health as GrpclibHealth
from grpclib.health.v1.health_grpc import HealthStub
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpclib.reflection.service import ServerReflection
from grpclib.reflection.v1.reflection_grpc import ServerReflectionStub
from grpclib.reflection.v1.reflection_pb2 import ServerReflectionRequest

from meshkit.errors import DeadlineExceeded, NotFound, Unknown
from meshkit.rpc import Channel, Server
from tests.support.echo_service import EchoService, GrpclibEcho, grpclib_serving, serving
from tests.support.gen.echo.v1 import EchoBase as Betterproto2Base
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.pb.echo.v1 import echo_pb2
from tests.support.waiting import until


async def test_a_grpclib_service_on_our_server() -> None:
    async with serving(GrpclibEcho()) as (_, address), Channel(address) as channel:
        echo = EchoClient(channel)
        assert (await echo.unary(EchoRequest(text="hi", payload=b"p"))) == EchoReply(text="hi", payload=b"p")
        assert [reply.number async for reply in echo.split(EchoRequest(count=5))] == list(range(5))
        assert (await echo.join([EchoRequest(text="a"), EchoRequest(text="b")])).text == "a,b"
        assert [reply.text async for reply in echo.chat([EchoRequest(text="x")])] == ["x"]
        call = echo.unary(EchoRequest(), metadata={"echo-initial": "i", "echo-trailing-bin": b"\0t"})
        await call
        assert call.initial_metadata()["echo-initial"] == "i"
        assert call.trailing_metadata()["echo-trailing-bin"] == b"\0t"
        with pytest.raises(NotFound, match="no"):
            await echo.unary(EchoRequest(text="no", fail=5))
        with pytest.raises(NotFound):
            async for _ in echo.split(EchoRequest(count=1, fail=5)):
                pass


async def test_a_grpclib_handler_is_cancelled() -> None:
    service = GrpclibEcho()
    async with serving(service) as (_, address), Channel(address) as channel:
        with pytest.raises(DeadlineExceeded):
            await EchoClient(channel).unary(EchoRequest(text="late", sleep_ms=5000), timeout=1)
        await until(lambda: service.cancelled == ["late"])


class _BetterprotoEcho(Betterproto2Base):
    async def unary(self, message: EchoRequest) -> EchoReply:
        return EchoReply(text=message.text)

    async def split(self, message: EchoRequest) -> Any:
        for number in range(message.count):
            yield EchoReply(number=number)

    async def join(self, messages: Any) -> EchoReply:
        return EchoReply(text=",".join([message.text async for message in messages]))

    async def chat(self, messages: Any) -> Any:
        async for message in messages:
            yield EchoReply(text=message.text)


async def test_a_betterproto2_service_on_our_server() -> None:
    async with serving(_BetterprotoEcho()) as (_, address), Channel(address) as channel:
        echo = EchoClient(channel)
        assert (await echo.unary(EchoRequest(text="hi"))).text == "hi"
        assert [reply.number async for reply in echo.split(EchoRequest(count=2))] == [0, 1]
        assert (await echo.join([EchoRequest(text="a")])).text == "a"
        assert [reply.text async for reply in echo.chat([EchoRequest(text="b")])] == ["b"]


async def test_the_server_stream_interface() -> None:
    seen: dict[str, Any] = {}

    class Handler(GrpclibEcho):
        async def Unary(self, stream: Any) -> None:
            seen.update(metadata=dict(stream.metadata), peer=stream.peer.addr(), agent=stream.user_agent)
            seen["left"] = stream.deadline.time_remaining()
            request = await stream.recv_message()
            assert await stream.recv_message() is None
            with pytest.raises(ProtocolError, match="requires a single message"):
                await stream.send_trailing_metadata()
            await stream.send_initial_metadata()
            with pytest.raises(ProtocolError, match="already sent"):
                await stream.send_initial_metadata()
            await stream.send_message(echo_pb2.EchoReply(text=request.text))
            with pytest.raises(ProtocolError, match="already sent"):
                await stream.send_message(echo_pb2.EchoReply())
            await stream.send_trailing_metadata(status=Status.NOT_FOUND, status_message="decided")
            with pytest.raises(ProtocolError, match="already sent"):
                await stream.send_trailing_metadata()

        async def Split(self, stream: Any) -> None:
            await stream.cancel()
            with pytest.raises(ProtocolError):
                await stream.cancel()

        async def Join(self, stream: Any) -> None:
            assert stream.deadline is None

    async with serving(Handler()) as (_, address), Channel(address) as channel:
        echo = EchoClient(channel)
        with pytest.raises(NotFound, match="decided"):
            await echo.unary(EchoRequest(), timeout=5, metadata={"a": "b"})
        with pytest.raises(GRPCError):
            async for _ in echo.split(EchoRequest()):
                pass
        with pytest.raises(Unknown):
            await echo.join([])
    assert seen["metadata"] == {"a": "b"}
    assert seen["peer"][0] == "127.0.0.1"
    assert seen["agent"].startswith("grpc-python-meshkit")
    assert 0 < seen["left"] <= 5


async def test_grpclibs_health_and_reflection_on_our_server() -> None:
    echo = GrpclibEcho()
    status = ServiceStatus()
    status.set(True)
    services = ServerReflection.extend([echo, GrpclibHealth({echo: [status]})])
    server = Server(services)
    port = await server.listen()
    assert server.health is None
    async with GrpclibChannel("127.0.0.1", port) as channel:
        reply = await HealthStub(channel).Check(HealthCheckRequest(service="echo.v1.Echo"))
        assert reply.status == HealthCheckResponse.SERVING
        async with HealthStub(channel).Watch.open() as stream:
            await stream.send_message(HealthCheckRequest(service="echo.v1.Echo"), end=True)
            first = await stream.recv_message()
            assert first is not None
            assert first.status == HealthCheckResponse.SERVING
            status.set(False)
            second = await stream.recv_message()
            assert second is not None
            assert second.status == HealthCheckResponse.NOT_SERVING
            await stream.cancel()
        answers = await ServerReflectionStub(channel).ServerReflectionInfo(
            [
                ServerReflectionRequest(list_services=""),
                ServerReflectionRequest(file_containing_symbol="echo.v1.Echo"),
            ]
        )
        names = {service.name for service in answers[0].list_services_response.service}
        assert {"echo.v1.Echo", "grpc.health.v1.Health"} <= names
        assert answers[1].HasField("file_descriptor_response")
    await server.close()


async def test_our_service_on_grpclibs_server() -> None:
    service = EchoService()
    async with grpclib_serving(service) as address:
        host, port = address.split(":")
        async with Channel(address) as channel:
            echo = EchoClient(channel)
            assert (await echo.unary(EchoRequest(text="hi"))).text == "hi"
            assert [reply.number async for reply in echo.split(EchoRequest(count=3))] == [0, 1, 2]
            assert (await echo.join([EchoRequest(text="a"), EchoRequest(text="b")])).text == "a,b"
            assert [reply.text async for reply in echo.chat([EchoRequest(text="x")])] == ["x"]
            call = echo.unary(EchoRequest(), metadata={"echo-initial": "i", "echo-trailing-bin": b"\0t"}, timeout=5)
            await call
            assert call.initial_metadata()["echo-initial"] == "i"
            assert call.trailing_metadata()["echo-trailing-bin"] == b"\0t"
            left = service.contexts[-1].time_remaining()
            assert left is not None
            assert 0 < left <= 5
            assert service.contexts[-1].peer.startswith("127.0.0.1:")
            with pytest.raises(NotFound, match="no"):
                await echo.unary(EchoRequest(text="no", fail=5))
        async with (
            grpclib.client.Channel(host, int(port)) as plain,
            plain.request("/echo.v1.Echo/Unary", Cardinality.UNARY_UNARY, EchoRequest, EchoReply) as stream,
        ):
            await stream.send_message(EchoRequest(text="plain"), end=True)
            reply = await stream.recv_message()
            assert reply is not None
            assert reply.text == "plain"
