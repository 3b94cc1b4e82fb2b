"""What handlers know of their calls: who calls, over what, and what their own calls inherit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme

from meshkit.errors import Internal
from meshkit.net import client_context, server_context
from meshkit.rpc import CallOptions, Channel, Context, Server, TlsSettings, current_context
from tests.support.echo_service import EchoService, calling, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoBase, EchoClient


async def test_the_peer_and_its_identity(tmp_path: Path) -> None:
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "s.pem")
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "c.pem")
    service = EchoService()
    server = Server([service], tls=TlsSettings(server_context(cert=tmp_path / "s.pem", ca=tmp_path / "ca.pem")))
    port = await server.listen()
    tls = TlsSettings(client_context(ca=tmp_path / "ca.pem", cert=tmp_path / "c.pem"))
    async with Channel(f"localhost:{port}", tls=tls) as channel:
        assert (await EchoClient(channel).unary(EchoRequest(text="x"))).text == "x"
    context = service.contexts[0]
    assert context.peer.startswith("127.0.0.1:")
    assert context.peer_identity == "client.example"
    assert "/echo.v1.Echo/Unary" in repr(context)
    await server.close()


async def test_plaintext_has_no_identity() -> None:
    service = EchoService()
    async with calling(service) as echo:
        await echo.unary(EchoRequest(), metadata={"a": "1"})
    context = service.contexts[0]
    assert context.peer_identity is None
    assert context.deadline is None
    assert context.header(b"a") == "1"
    assert context.header(b"b") is None
    assert not context.cancelled


async def test_nested_calls_may_opt_out() -> None:
    service = EchoService()

    class Front(EchoBase):
        def __init__(self, back: EchoClient) -> None:
            self.back = back

        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            options = CallOptions(propagate_deadline=False, propagate_trace=False)
            return await self.back.unary(request, options=options, metadata={"traceparent": "own"})

    async with calling(service) as back, calling(Front(back)) as front:
        await front.unary(EchoRequest(), timeout=5, metadata={"x-request-id": "7", "traceparent": "given"})
    assert service.contexts[0].deadline is None
    assert dict(service.contexts[0].metadata) == {"traceparent": "own"}


async def test_ones_own_trace_headers_win() -> None:
    service = EchoService()

    class Front(EchoBase):
        def __init__(self, back: EchoClient) -> None:
            self.back = back

        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            return await self.back.unary(request, metadata={"traceparent": "own"})

    async with calling(service) as back, calling(Front(back)) as front:
        await front.unary(EchoRequest(), metadata={"traceparent": "given", "x-request-id": "7"})
    assert dict(service.contexts[0].metadata) == {"traceparent": "own", "x-request-id": "7"}


async def test_contexts_do_not_mix() -> None:
    seen: list[bool] = []

    class Checking(EchoBase):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            await asyncio.sleep(0.001)
            seen.append(current_context() is ctx)
            return EchoReply()

    async with calling(Checking()) as echo:
        await asyncio.gather(*(echo.unary(EchoRequest()) for _ in range(20)))
    assert seen == [True] * 20


async def test_binary_metadata_that_is_no_base64_is_internal() -> None:
    service = EchoService()
    async with serving(service) as (_, address), Channel(address) as channel:
        call = EchoClient(channel).unary(EchoRequest())
        call.fields = ((b"x-bin", b"!"),)
        with pytest.raises(Internal):
            await call
