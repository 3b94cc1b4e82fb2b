"""Generated services at work: over our own channel and server, and served by a stock grpclib server."""

import asyncio
import importlib
import typing
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import grpclib.server
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from meshkit.errors import Unimplemented
from meshkit.rpc import Channel, Idempotency, Server
from tests.golden.betterproto2.golden.clash.v1 import odd_names_mesh as clash
from tests.golden.betterproto2.golden.shapes.v1 import GetThingRequest, Thing, admin_mesh, shapes_mesh

PROTOBUF = Path(__file__).parent.parent / "golden" / "protobuf"


@pytest.fixture
def user_code(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(PROTOBUF)
    return importlib.import_module("tests.golden.user_code")


@asynccontextmanager
async def channel_to(*servicers: Any) -> AsyncIterator[Channel]:
    async with Server(servicers) as server:
        port = await server.listen()
        async with Channel(f"127.0.0.1:{port}") as channel:
            yield channel


async def test_user_code(user_code: ModuleType):
    await user_code.main()


async def test_served_by_a_stock_grpclib_server(user_code: ModuleType):
    server = grpclib.server.Server([user_code.Things(), user_code.WellKnown()])
    await server.start("127.0.0.1", 0)
    assert server._server is not None
    port = server._server.sockets[0].getsockname()[1]
    async with Channel(f"127.0.0.1:{port}") as channel:
        client = shapes_mesh.ThingServiceClient(channel)
        await user_code.unary(client)
        assert await user_code.streams(client) == ["w", "w", "w", "C", "D"]
        assert await user_code.well_known(shapes_mesh.WellKnownClient(channel)) == 4
    server.close()
    await server.wait_closed()


async def test_protobuf_messages(user_code: ModuleType):
    generated = importlib.import_module("golden.shapes.v1.shapes_mesh")
    messages = importlib.import_module("golden.shapes.v1.shapes_pb2")

    class Things(generated.ThingServiceBase):
        async def get_thing(self, request: Any, ctx: Any) -> Any:
            return messages.Thing(name=request.name, size=3)

        async def chat(self, things: Any, ctx: Any) -> Any:
            async for thing in things:
                yield messages.Thing(name=thing.name * 2)

    async with channel_to(Things()) as channel:
        client = generated.ThingServiceClient(channel)
        assert await client.get_thing(messages.GetThingRequest(name="a")) == messages.Thing(name="a", size=3)
        assert [thing.name async for thing in client.chat([messages.Thing(name="b")])] == ["bb"]


async def call(client: Any, method: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        request = [method.request()] if method.client_streaming else method.request()
        answer = getattr(client, method.name)(request)
    return [reply async for reply in answer] if method.server_streaming else await answer


async def test_no_rpc_name_clashes_and_defaults_name_the_rpc():
    async with channel_to(clash.ClientBase()) as channel:
        client = clash.ClientClient(channel)
        for method in clash.ClientClient.__methods__:
            with pytest.raises(Unimplemented, match=f"{method.path} is not implemented"):
                await asyncio.wait_for(call(client, method), 30)


def test_deprecated():
    with pytest.warns(DeprecationWarning, match="rpc /golden.shapes.v1.ThingService/FetchThing is deprecated"):
        shapes_mesh.ThingServiceClient(Channel("127.0.0.1:1")).fetch_thing(GetThingRequest()).close()
    with pytest.warns(DeprecationWarning, match="service golden.shapes.v1.Retired is deprecated"):
        shapes_mesh.RetiredClient(Channel("127.0.0.1:1"))
    shapes_mesh.RetiredBase()
    assert [method.name for method in shapes_mesh.ThingServiceBase.__methods__ if method.deprecated] == ["fetch_thing"]


def test_promises_of_the_proto_file():
    levels = {method.name: method.idempotency for method in shapes_mesh.ThingServiceBase.__methods__}
    assert levels["get_thing"] is Idempotency.NO_SIDE_EFFECTS
    assert levels["put_thing"] is Idempotency.IDEMPOTENT
    assert levels["chat"] is Idempotency.UNKNOWN


@pytest.mark.parametrize("base", [shapes_mesh.ThingServiceBase, admin_mesh.AdminServiceBase, clash.ClientBase])
def test_embedded_descriptors_are_all_that_a_pool_needs(base: Any):
    pool = DescriptorPool()
    for data in (*base.__dependencies__(), base.__file_descriptor__):
        pool.Add(FileDescriptorProto.FromString(data))  # each after what it imports
    service = pool.FindServiceByName(base.__service_name__)
    assert [f"/{base.__service_name__}/{method.name}" for method in service.methods] == [
        method.path for method in base.__methods__
    ]


def test_comments_are_docstrings_as_they_were_written():
    doc = shapes_mesh.ThingServiceBase.__doc__ or ""
    assert '"""quoted""", a \\backslash\\, a "last quote"' in doc
    assert doc.rstrip().endswith('ends with "quotes"')
    assert (shapes_mesh.ThingServiceClient.watch_things.__doc__ or "") == "Watches \\N{not a name} and \\x."
    assert "Detached" not in Path(shapes_mesh.__file__).read_text()


def test_annotations_resolve_at_run_time():
    hints = typing.get_type_hints(shapes_mesh.ThingServiceClient.get_thing)
    assert hints["request"] is GetThingRequest
    assert typing.get_args(hints["return"]) == (Thing,)
