"""One kind of interceptor, at both ends, around all four shapes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from meshkit.errors import DeadlineExceeded, NotFound, PermissionDenied, Unavailable
from meshkit.rpc import Call, Channel, Context, Proceed
from tests.support.echo_service import EchoService, calling, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.waiting import until


class Tracing:
    """Notes who is entered and left."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def __call__(self, call: Call, proceed: Proceed) -> Any:
        self.log.append(f"> {self.name} {call.method.rpc}")
        try:
            return await proceed(call)
        finally:
            self.log.append(f"< {self.name}")


async def use_all_shapes(echo: EchoClient) -> list[Any]:
    given = [EchoRequest(text="a"), EchoRequest(text="b")]
    return [
        (await echo.unary(EchoRequest(text="u"))).text,
        [reply.number async for reply in echo.split(EchoRequest(count=2))],
        (await echo.join(given)).text,
        [reply.text async for reply in echo.chat(given)],
    ]


EXPECTED: list[Any] = ["u", [0, 1], "a,b", ["a", "b"]]


async def test_list_order_is_outermost_first_at_clients() -> None:
    log: list[str] = []
    async with calling(interceptors=[Tracing("outer", log), Tracing("inner", log)]) as echo:
        assert await use_all_shapes(echo) == EXPECTED
    for position, rpc in enumerate(("Unary", "Split", "Join", "Chat")):
        assert log[position * 4 : position * 4 + 4] == [f"> outer {rpc}", f"> inner {rpc}", "< inner", "< outer"]


async def test_list_order_is_outermost_first_at_servers() -> None:
    log: list[str] = []
    interceptors = [Tracing("outer", log), Tracing("inner", log)]
    async with serving(interceptors=interceptors) as (_, address), Channel(address) as channel:
        assert await use_all_shapes(EchoClient(channel)) == EXPECTED
    assert log[:4] == ["> outer Unary", "> inner Unary", "< inner", "< outer"]


async def test_a_channels_interceptors_are_outside_of_a_clients() -> None:
    log: list[str] = []
    async with serving() as (_, address), Channel(address, interceptors=[Tracing("channel", log)]) as channel:
        await EchoClient(channel, interceptors=[Tracing("client", log)]).unary(EchoRequest())
    assert log == ["> channel Unary", "> client Unary", "< client", "< channel"]


async def test_requests_and_replies_can_be_replaced() -> None:
    async def shout(call: Call, proceed: Proceed) -> Any:
        async def louder(requests: AsyncIterator[EchoRequest]) -> AsyncIterator[EchoRequest]:
            async for request in requests:
                yield EchoRequest(text=request.text.upper())

        async def marked(replies: AsyncIterator[EchoReply]) -> AsyncIterator[EchoReply]:
            async for reply in replies:
                yield EchoReply(text=reply.text + "!", number=reply.number)

        if call.method.client_streaming:
            call.request = louder(call.request)
        else:
            call.request = EchoRequest(text=call.request.text.upper(), count=call.request.count)
        reply = await proceed(call)
        return marked(reply) if call.method.server_streaming else EchoReply(text=reply.text + "!")

    for settings in ({"client": [shout]}, {"server": [shout]}):
        server = settings.get("server", [])
        async with serving(interceptors=server) as (_, address), Channel(address) as channel:
            echo = EchoClient(channel, interceptors=settings.get("client", []))
            assert await use_all_shapes(echo) == ["U!", [0, 1], "A,B!", ["A!", "B!"]]


async def test_metadata_and_deadline_can_be_changed() -> None:
    async def admin(call: Call, proceed: Proceed) -> Any:
        call.metadata += {"echo-initial": "admin"}
        return await proceed(call)

    async def hurry(call: Call, proceed: Proceed) -> Any:
        loop = asyncio.get_running_loop()
        call.deadline = loop.time() + 0.05
        return await proceed(call)

    async with calling(interceptors=[admin]) as echo:
        call = echo.unary(EchoRequest(), metadata={"echo-initial": "user"})
        await call
        assert call.initial_metadata().getall("echo-initial") == ["user", "admin"]
        async with echo.split(EchoRequest(count=1)) as stream:
            assert (await stream.initial_metadata())["echo-initial"] == "admin"
            assert await stream.recv() is not None
    async with calling(interceptors=[hurry]) as echo:
        with pytest.raises(DeadlineExceeded):
            await echo.unary(EchoRequest(sleep_ms=5000))
        with pytest.raises(DeadlineExceeded):
            async for _ in echo.split(EchoRequest(count=10, sleep_ms=5000)):
                pass


async def test_a_call_can_be_made_again() -> None:
    failures = 2

    class Flaky(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise Unavailable("try again")
            return EchoReply(text=request.text)

    async def again(call: Call, proceed: Proceed) -> Any:
        while True:
            try:
                return await proceed(call)
            except Unavailable:
                continue

    async with calling(Flaky(), interceptors=[again]) as echo:
        assert (await echo.unary(EchoRequest(text="x"))).text == "x"


async def test_a_call_can_be_refused_or_answered_on_the_way() -> None:
    service = EchoService()

    async def guard(call: Call, proceed: Proceed) -> Any:
        if call.metadata.get("user") != "admin":
            raise PermissionDenied("who are you?")
        return await proceed(call)

    async def cached(call: Call, proceed: Proceed) -> Any:
        return EchoReply(text="from the cache")

    async with serving(service, interceptors=[guard]) as (_, address), Channel(address) as channel:
        echo = EchoClient(channel)
        with pytest.raises(PermissionDenied, match="who are you"):
            await echo.unary(EchoRequest())
        with pytest.raises(PermissionDenied):
            async for _ in echo.chat([EchoRequest()]):
                pass
        assert not service.contexts
        assert (await echo.unary(EchoRequest(text="x"), metadata={"user": "admin"})).text == "x"
        answered = EchoClient(channel, interceptors=[cached])
        assert (await answered.unary(EchoRequest())).text == "from the cache"
        assert (await answered.join([EchoRequest()])).text == "from the cache"


async def test_streams_by_hand_through_interceptors() -> None:
    log: list[str] = []
    async with calling(interceptors=[Tracing("only", log)]) as echo:
        async with echo.chat(metadata={"echo-initial": "x"}) as call:
            for text in ("a", "b"):
                await call.send(EchoRequest(text=text))
                reply = await call.recv()
                assert reply is not None
                assert reply.text == text
            assert (await call.initial_metadata())["echo-initial"] == "x"
            await call.end()
            with pytest.raises(RuntimeError, match="send after end"):
                await call.send(EchoRequest())
            assert await call.recv() is None
            assert call.attempts == 1
            assert call.peer
        async with echo.join() as upload:
            await upload.send(EchoRequest(text="c"))
            assert (await upload.finish()).text == "c"


async def test_a_fast_sender_waits_for_the_chain() -> None:
    async def stuck(call: Call, proceed: Proceed) -> Any:
        await asyncio.Event().wait()

    async with calling(interceptors=[stuck]) as echo, echo.chat() as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                while True:
                    await call.send(EchoRequest())


async def test_errors_pass_through_the_chain() -> None:
    log: list[str] = []

    class UsersOwn(Exception):
        pass

    async def failing() -> AsyncIterator[EchoRequest]:
        yield EchoRequest(text="x")
        await asyncio.sleep(0.01)
        raise UsersOwn

    async with calling(interceptors=[Tracing("only", log)]) as echo:
        with pytest.raises(NotFound):
            await echo.unary(EchoRequest(fail=5))
        with pytest.raises(NotFound):
            async for _ in echo.split(EchoRequest(count=2, fail=5)):
                pass
        with pytest.raises(UsersOwn):
            await echo.join(failing())
        with pytest.raises(UsersOwn):
            async for _ in echo.chat(failing()):
                pass
        with pytest.raises(TypeError):
            echo.split(EchoReply())  # type: ignore[arg-type]  # the mistake under test


async def test_cancelling_reaches_the_handler_through_the_chain() -> None:
    service = EchoService()
    async with calling(service, interceptors=[Tracing("only", [])]) as echo:
        async with echo.split(EchoRequest(text="x", count=10, sleep_ms=5000)) as call:
            await call.recv()
        await asyncio.wait_for(service.stopped.wait(), 30)


async def test_no_tasks_are_left() -> None:
    async with calling(interceptors=[Tracing("only", [])]) as echo:
        await echo.unary(EchoRequest())  # now there is a connection
        before = asyncio.all_tasks()
        await use_all_shapes(echo)
        await until(lambda: asyncio.all_tasks() <= before)
