"""What users write against generated code, in all four shapes and for both kinds of messages: checked for its types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta
from typing import assert_type

from golden.shapes.v1 import shapes_pb2
from golden.shapes.v1.shapes_mesh import ThingServiceClient as Pb2Client

from meshkit.rpc import (
    BidiStream,
    CallOptions,
    Channel,
    ClientStream,
    Context,
    Idempotency,
    Server,
    ServerStream,
    UnaryCall,
)
from tests.golden.betterproto2.golden.common import Page
from tests.golden.betterproto2.golden.shapes.v1 import GetThingRequest, Thing
from tests.golden.betterproto2.golden.shapes.v1.shapes_mesh import (
    ThingServiceBase,
    ThingServiceClient,
    WellKnownBase,
    WellKnownClient,
)
from tests.golden.betterproto2.google.protobuf import Empty, Int64Value, StringValue, Timestamp


class Things(ThingServiceBase):
    """A service in all four shapes."""

    def __init__(self) -> None:
        self.kept: list[Thing] = []

    async def get_thing(self, request: GetThingRequest, ctx: Context, /) -> Thing:
        assert_type(ctx.time_remaining(), float | None)
        return Thing(name=request.name)

    async def put_thing(self, request: Thing, ctx: Context, /) -> Empty:
        self.kept.append(request)
        return Empty()

    async def watch_things(self, request: GetThingRequest, ctx: Context, /) -> AsyncIterator[Thing]:
        for size in range(3):
            yield Thing(name=request.name, size=size)

    async def upload_things(self, things: AsyncIterator[Thing], ctx: Context, /) -> Page:
        return Page(items=[thing.name async for thing in things])

    async def chat(self, things: AsyncIterator[Thing], ctx: Context, /) -> AsyncIterator[Thing]:
        async for thing in things:
            yield Thing(name=thing.name.upper())


class WellKnown(WellKnownBase):
    """Well-known types stay messages when they are an rpc's."""

    async def ping(self, request: Empty, ctx: Context, /) -> Empty:
        return request

    async def tick(self, request: Empty, ctx: Context, /) -> AsyncIterator[Timestamp]:
        yield Timestamp(seconds=1)

    async def length(self, request: StringValue, ctx: Context, /) -> Int64Value:
        return Int64Value(value=len(request.value))


async def unary(client: ThingServiceClient) -> None:
    """A unary call is a coroutine, and more."""
    call = client.get_thing(GetThingRequest(name="a"), timeout=timedelta(seconds=5), metadata={"user": "admin"})
    assert_type(call, UnaryCall[Thing])
    assert_type(await call, Thing)
    task = asyncio.create_task(client.put_thing(Thing(name="b"), options=CallOptions(wait_for_ready=True)))
    assert_type(task, asyncio.Task[Empty])
    first, second = await asyncio.gather(client.get_thing(GetThingRequest()), task)
    assert_type(first, Thing)
    assert_type(second, Empty)
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(client.get_thing(GetThingRequest())), asyncio.Task[Thing])


async def streams(client: ThingServiceClient) -> list[str]:
    """Streams are async iterators and async context managers."""
    watching = client.watch_things(GetThingRequest(name="w"), timeout=5.0)
    assert_type(watching, ServerStream[Thing])
    names = [thing.name async for thing in watching]
    async with client.watch_things(GetThingRequest(name="x")) as watch:
        assert_type(await watch.recv(), Thing | None)

    uploading = client.upload_things([Thing(name="u")])
    assert_type(uploading, ClientStream[Thing, Page])
    assert_type(await uploading, Page)
    async with client.upload_things() as upload:
        await upload.send(Thing(name="v"))
        assert_type(await upload.finish(), Page)

    talk = client.chat(endless(["c", "d"]))
    assert_type(talk, BidiStream[Thing, Thing])
    names += [thing.name async for thing in talk]
    async with client.chat() as chat:
        await chat.send(Thing(name="e"))
        assert_type(await chat.recv(), Thing | None)
        await chat.end()
    return names


async def endless(names: list[str]) -> AsyncIterator[Thing]:
    """Requests of the user's own making."""
    for name in names:
        yield Thing(name=name)


async def well_known(client: WellKnownClient) -> int:
    """Well-known types at both ends."""
    assert_type(await client.ping(Empty()), Empty)
    assert_type([each async for each in client.tick(Empty())], list[Timestamp])
    length = await client.length(StringValue(value="four"))
    assert_type(length, Int64Value)
    return length.value


def other_messages(client: Pb2Client, things: AsyncIterable[shapes_pb2.Thing]) -> None:
    """The same with protoc's own message classes; nothing is called here."""
    assert_type(client.get_thing(shapes_pb2.GetThingRequest(name="p")), UnaryCall[shapes_pb2.Thing])
    assert_type(client.chat(things), BidiStream[shapes_pb2.Thing, shapes_pb2.Thing])


async def main() -> None:
    """Server and client in one process."""
    async with Server([Things(), WellKnown()]) as server:
        port = await server.listen()
        async with Channel(f"127.0.0.1:{port}") as channel:
            client = ThingServiceClient(channel)
            await unary(client)
            assert await streams(client) == ["w", "w", "w", "C", "D"]
            assert await well_known(WellKnownClient(channel)) == 4


if __name__ == "__main__":
    assert ThingServiceBase.__methods__[0].idempotency is Idempotency.NO_SIDE_EFFECTS
    asyncio.run(main())
