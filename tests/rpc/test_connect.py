"""Unary calls by plain HTTP, over HTTP/1.1, HTTP/2 and TLS, beside gRPC on the same port."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
import uvloop

from meshkit.errors import MissingExtra, NotFound
from meshkit.net import ClientOptions, ServerOptions, TlsSettings, client_context, server_context
from meshkit.rpc import Call, Channel, Context, Proceed, Server
from meshkit.rpc.dubbo import service as dubbo_service
from meshkit.status import Status
from meshkit.wire import Limits
from tests.support import h2peer as h2
from tests.support.echo_service import EchoService, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoBase, EchoClient
from tests.support.http1 import Answer, Peer, connected, post

UNARY = "/echo.v1.Echo/Unary"
TAKEN = "application/json, application/proto"
HEALTH = "/grpc.health.v1.Health/Check"


@asynccontextmanager
async def plain(service: Any = None, **settings: Any) -> AsyncIterator[tuple[Server, Peer]]:
    """A server that answers plain HTTP, and a connection to it."""
    async with AsyncExitStack() as up:
        server, address = await up.enter_async_context(serving(service, json=True, **settings))
        yield server, await up.enter_async_context(connected(int(address.rpartition(":")[2])))


async def ask(request: bytes, service: Any = None, **settings: Any) -> Answer:
    async with plain(service, **settings) as (_, peer):
        await peer.send(request)
        return await peer.answer()


def error(answer: Answer) -> tuple[int, str, str]:
    assert answer.headers["content-type"] == "application/json"
    said = json.loads(answer.body)
    return answer.status, said["code"], said.get("message", "")


async def test_json_comes_back_and_the_connection_stays() -> None:
    async with plain() as (_, peer):
        for text in ("hi", "ü"):
            await peer.send(post(UNARY, json.dumps({"text": text, "payload": "AAE="})))
            answer = await peer.answer()
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
            assert json.loads(answer.body) == {"text": text, "payload": "AAE="}


async def test_protobuf_without_any_framing() -> None:
    request = bytes(EchoRequest(text="hi"))
    answer = await ask(post(UNARY, request, content_type="application/proto"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/proto")
    assert EchoReply.parse(answer.body) == EchoReply(text="hi")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_large_reply_comes_whole(encoding: str) -> None:
    class Compressing(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            ctx.compression = "gzip"
            return await super().unary(request, ctx)

    text = "x" * 500_000
    answer = await ask(post(UNARY, json.dumps({"text": text}), accept_encoding=encoding), Compressing())
    body = gzip.decompress(answer.body) if encoding == "gzip" else answer.body
    assert json.loads(body) == {"text": text}


async def test_metadata_come_and_go_as_header_fields() -> None:
    service = EchoService()
    request = post(UNARY, echo_initial="a", echo_trailing_bin="AAEC", connect_timeout_ms="5000", user="Ada")
    answer = await ask(request, service)
    assert answer.headers["echo-initial"] == "a"
    assert b64decode(answer.headers["trailer-echo-trailing-bin"]) == b"\0\1\2"
    seen = service.contexts[0]
    assert seen.metadata["user"] == "Ada" and not {"content-length", "connect-timeout-ms"} & set(seen.metadata)
    assert 0 < (seen.time_remaining() or 0) <= 5
    assert seen.peer.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("status", "http", "code"),
    [
        (Status.CANCELLED, 499, "canceled"),
        (Status.UNKNOWN, 500, "unknown"),
        (Status.INVALID_ARGUMENT, 400, "invalid_argument"),
        (Status.DEADLINE_EXCEEDED, 504, "deadline_exceeded"),
        (Status.NOT_FOUND, 404, "not_found"),
        (Status.ALREADY_EXISTS, 409, "already_exists"),
        (Status.PERMISSION_DENIED, 403, "permission_denied"),
        (Status.RESOURCE_EXHAUSTED, 429, "resource_exhausted"),
        (Status.FAILED_PRECONDITION, 400, "failed_precondition"),
        (Status.ABORTED, 409, "aborted"),
        (Status.OUT_OF_RANGE, 400, "out_of_range"),
        (Status.UNIMPLEMENTED, 501, "unimplemented"),
        (Status.INTERNAL, 500, "internal"),
        (Status.UNAVAILABLE, 503, "unavailable"),
        (Status.DATA_LOSS, 500, "data_loss"),
        (Status.UNAUTHENTICATED, 401, "unauthenticated"),
    ],
)
async def test_an_error_is_json_with_an_http_status(status: Status, http: int, code: str) -> None:
    answer = await ask(post(UNARY, json.dumps({"text": "ü %", "fail": status.value}), echo_trailing_bin="AAEC"))
    assert error(answer) == (http, code, "ü %")
    assert answer.headers["trailer-echo-trailing-bin"] == "AAEC"


async def test_details_keep_their_type_and_their_bytes() -> None:
    class Failing(EchoBase):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            raise NotFound("gone", details=[EchoReply(text="why")])

        split = join = chat = nothing = None  # type: ignore[assignment]

    class All(Failing):
        async def _none(self, *_: object) -> Any: ...

        split = join = chat = nothing = _none  # type: ignore[assignment]

    answer = await ask(post(UNARY), All())
    (detail,) = json.loads(answer.body)["details"]
    assert detail["type"] == "echo.v1.EchoReply"
    assert EchoReply.parse(b64decode(detail["value"] + "==")) == EchoReply(text="why")


@pytest.mark.parametrize(
    ("request_", "http", "code", "text"),
    [
        (post("/echo.v1.Echo/Nope"), 404, "unimplemented", "unknown method /echo.v1.Echo/Nope"),
        (post(UNARY, "{"), 400, "invalid_argument", "does not decode"),
        (post(UNARY, "[]"), 400, "invalid_argument", "an object is expected"),
        (post(UNARY, '{"text": 5}'), 400, "invalid_argument", "text"),
        (post(UNARY, '{"sleepMs": 99999999999}'), 400, "invalid_argument", "out of range"),
        (post(UNARY, b"\xff\xff", content_type="application/proto"), 400, "invalid_argument", "does not decode"),
        (post(UNARY, connect_timeout_ms="soon"), 400, "invalid_argument", "'soon' is not milliseconds"),
        (post(UNARY, connect_timeout_ms="12345678901"), 400, "invalid_argument", "at most 10 digits"),
        (post(UNARY, connect_protocol_version="2"), 400, "invalid_argument", "must be 1"),
        (post(UNARY, content_encoding="br"), 501, "unimplemented", "'br' is not one of identity, gzip"),
        (post(UNARY, content_encoding="gzip"), 400, "invalid_argument", "not gzip"),
        (post(UNARY, b"x" * 2000), 429, "resource_exhausted", "more than 1000 bytes"),
        (post(UNARY, gzip.compress(b" " * 2000), content_encoding="gzip"), 429, "resource_exhausted", "more than 1000"),
    ],
)
async def test_what_is_wrong_is_said(request_: bytes, http: int, code: str, text: str) -> None:
    answer = await ask(request_, options=ServerOptions(limits=Limits(max_receive_message=1000)))
    assert error(answer)[:2] == (http, code)
    assert text in error(answer)[2]


async def test_the_connection_stays_after_errors() -> None:
    wrong = [post("/nope"), post(UNARY, "{"), post(UNARY, '{"fail": 5}'), post(UNARY, content_type="text/html")]
    wrong += [post(UNARY).replace(b"POST", verb, 1) for verb in (b"GET", b"PUT", b"OPTIONS")]
    async with plain() as (server, peer):
        for request in wrong:
            await peer.send(request)
            answer = await peer.answer()
            assert answer.status >= 400 and "connection" not in answer.headers
        await peer.send(post(UNARY).replace(b"POST", b"HEAD", 1))
        assert (await peer.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        await peer.send(post("http://mesh.test" + UNARY, '{"text": "still here"}'))
        assert json.loads((await peer.answer()).body) == {"text": "still here"}


@pytest.mark.parametrize("name", ["connection", "transfer-encoding", "content-length", "keep-alive", "upgrade"])
async def test_a_handler_says_nothing_about_the_connection(name: str) -> None:
    class Saying(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            with pytest.raises(ValueError, match=f"metadata name '{name}' is reserved by gRPC or HTTP"):
                ctx.set_trailing_metadata({name: "5"})
            return EchoReply(text="refused")

    answer = await ask(post(UNARY), Saying())
    assert json.loads(answer.body) == {"text": "refused"}
    assert f"trailer-{name}" not in answer.headers


async def test_a_handler_says_nothing_about_the_body() -> None:
    class Saying(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            await ctx.send_initial_metadata({"content-encoding": "gzip", "date": "never", "cache-control": "no-store"})
            return EchoReply(text="x")

    answer = await ask(post(UNARY), Saying())
    assert json.loads(answer.body) == {"text": "x"}
    assert "content-encoding" not in answer.headers and answer.headers["date"] != "never"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("request_", "http", "header", "value"),
    [
        (post(UNARY, content_type="text/html"), 415, "accept-post", TAKEN),
        (post(UNARY, content_type="application/json; charset=latin1"), 415, "accept-post", TAKEN),
        (post("/echo.v1.Echo/Split"), 415, "accept-post", "application/grpc"),
        (post(UNARY).replace(b"POST", b"PUT", 1), 405, "allow", "POST"),
        (post(UNARY).replace(b"POST", b"GET", 1), 405, "allow", "POST"),
        (post(HEALTH).replace(b"POST", b"DELETE", 1), 405, "allow", "GET, POST"),
    ],
)  # fmt: skip
async def test_what_is_not_of_the_protocol_is_answered_as_http(
    request_: bytes, http: int, header: str, value: str
) -> None:
    answer = await ask(request_)
    assert (answer.status, answer.headers[header]) == (http, value)
    assert answer.headers["content-type"].startswith("text/plain")


async def test_bodies_are_compressed_both_ways() -> None:
    class Compressing(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            ctx.compression = "gzip"
            return await super().unary(request, ctx)

    body = gzip.compress(json.dumps({"text": "x" * 500}).encode())
    service = Compressing()
    answer = await ask(post(UNARY, body, content_encoding="gzip", accept_encoding="br, gzip;q=0.5"), service)
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body)) == {"text": "x" * 500}
    answer = await ask(post(UNARY, body, content_encoding="gzip"), service)
    assert "content-encoding" not in answer.headers and json.loads(answer.body) == {"text": "x" * 500}


@pytest.mark.parametrize("name", ["connect_timeout_ms", "triple_timeout_ms"])
async def test_a_deadline_ends_the_call_and_its_handler(name: str) -> None:
    service = EchoService()
    answer = await ask(post(UNARY, '{"text": "slow", "sleepMs": 5000}', **{name: "100"}), service)
    assert error(answer) == (504, "deadline_exceeded", "the deadline passed")
    await asyncio.wait_for(service.stopped.wait(), 30)
    assert service.cancelled == ["slow"]


async def test_a_client_that_goes_away_stops_the_handler() -> None:
    service = EchoService()
    async with plain(service) as (_, peer):
        await peer.send(post(UNARY, '{"text": "gone", "sleepMs": 5000}'))
        await asyncio.wait_for(service.started.wait(), 30)
        peer.writer.transport.abort()
        await asyncio.wait_for(service.stopped.wait(), 30)


async def test_interceptors_see_a_call_like_any_other() -> None:
    seen: list[tuple[str, object, object]] = []

    async def note(call: Call, proceed: Proceed) -> Any:
        seen.append((call.method.path, call.request, call.metadata["user"]))
        return await proceed(call)

    answer = await ask(post(UNARY, '{"text": "x"}', user="Ada"), interceptors=[note])
    assert answer.status == 200
    assert seen == [(UNARY, EchoRequest(text="x"), "Ada")]


async def test_calls_without_side_effects_may_be_asked_for_by_url() -> None:
    async with plain() as (server, peer):
        for query in ("encoding=json&message=" + quote("{}"), "encoding=proto&connect=v1&message="):
            await peer.send(f"GET {HEALTH}?{query} HTTP/1.1\r\nhost: t\r\n\r\n".encode())
            answer = await peer.answer()
            assert answer.body == (b'{"status":"SERVING"}' if "json" in query else b"\x08\x01")
        encoded = urlsafe_b64encode(b'{"service":"echo.v1.Echo"}').decode().rstrip("=")
        await peer.send(f"GET {HEALTH}?encoding=json&base64=1&message={encoded} HTTP/1.1\r\nhost: t\r\n\r\n".encode())
        assert (await peer.answer()).body == b'{"status":"SERVING"}'
        await peer.send(f"GET {HEALTH}?encoding=json&base64=1&message=%C3%A4 HTTP/1.1\r\nhost: t\r\n\r\n".encode())
        assert error(await peer.answer())[:2] == (400, "invalid_argument")
        assert server.health is not None
        server.health.shutdown()
        await peer.send(post(HEALTH))
        assert (await peer.answer()).body == b'{"status":"NOT_SERVING"}'


async def test_group_and_version_tell_services_apart() -> None:
    blue, green = EchoService(), EchoService()
    servicers = [dubbo_service(blue, group="blue"), dubbo_service(green, group="green")]
    async with Server(servicers, json=True) as server, connected(await server.listen()) as peer:
        await peer.send(post(UNARY, tri_service_group="green"))
        assert (await peer.answer()).status == 200
        await peer.send(post(UNARY))
        assert error(await peer.answer())[:2] == (501, "unimplemented")
    assert (len(blue.contexts), len(green.contexts)) == (0, 1)


async def test_grpc_and_plain_http_share_a_port() -> None:
    async with serving(json=True) as (_, address), Channel(address) as channel:
        assert (await EchoClient(channel).unary(EchoRequest(text="grpc"))).text == "grpc"
        async with connected(int(address.rpartition(":")[2])) as peer:
            await peer.send(post(UNARY, '{"text": "http"}'))
            assert json.loads((await peer.answer()).body) == {"text": "http"}
        assert (await EchoClient(channel).unary(EchoRequest(text="still"))).text == "still"


def _fields(**changes: bytes) -> bytes:
    base = {":method": b"POST", ":scheme": b"http", ":path": UNARY.encode(), ":authority": b"t",
            "content-type": b"application/json"}  # fmt: skip
    return h2.block([(name.replace("_", "-").encode(), value) for name, value in (base | changes).items()])


async def _by_http2(port: int, block: bytes, *pieces: bytes) -> tuple[dict[bytes, bytes], bytes]:
    peer = await h2.Peer.connect(port)
    peer.send(h2.headers(1, block, end=not pieces))
    for number, piece in enumerate(pieces, 1):
        peer.send(h2.data(1, piece, end=number == len(pieces)))
    got = await peer.until(h2.HEADERS, stream=1)
    body = await peer.until(h2.DATA, stream=1)
    await peer.close()
    return dict(got.fields), body.payload


async def test_http2_carries_the_same() -> None:
    async with serving(json=True, options=ServerOptions(limits=Limits(max_receive_message=1000))) as (_, address):
        port = int(address.rpartition(":")[2])
        fields, body = await _by_http2(port, _fields(), b'{"text"', b': "x"}')
        assert (fields[b":status"], fields[b"content-type"]) == (b"200", b"application/json")
        assert json.loads(body) == {"text": "x"}
        fields, body = await _by_http2(port, _fields(), b"x" * 800, b"x" * 800)
        assert fields[b":status"] == b"429" and b"resource_exhausted" in body
        fields, body = await _by_http2(port, _fields(connect_timeout_ms=b"50"), b'{"sleepMs": 5000}')
        assert fields[b":status"] == b"504" and b"deadline_exceeded" in body


@pytest.mark.parametrize("pause", [0.0, 0.05])
@pytest.mark.parametrize("kind", [b"application/grpc-web+proto", b"application/grpcx"])
async def test_what_only_looks_like_grpc_is_answered_in_one_piece_or_two(kind: bytes, pause: float) -> None:
    async with serving(json=True) as (_, address):
        peer = await h2.Peer.connect(int(address.rpartition(":")[2]))
        for stream in (1, 3):  # the second block is one that the server has seen
            peer.send(h2.headers(stream, _fields(content_type=kind)))
            await asyncio.sleep(pause)
            peer.send(h2.data(stream, h2.message(b"hi"), end=True))
            assert dict((await peer.until(h2.HEADERS, stream=stream)).fields)[b":status"] == b"415"
        await peer.close()


async def test_http2_requests_together_are_bounded_too() -> None:
    limits = Limits(max_receive_message=1000, max_unfinished=1500)
    async with serving(json=True, options=ServerOptions(limits=limits)) as (_, address):
        peer = await h2.Peer.connect(int(address.rpartition(":")[2]))
        for stream in (1, 3):
            peer.send(h2.headers(stream, _fields(), end=False), h2.data(stream, b"x" * 900))
        peer.send(h2.data(3, b"x" * 900), h2.data(3, b"", end=True))
        assert dict((await peer.until(h2.HEADERS, stream=3)).fields)[b":status"] == b"429"
        peer.send(h2.reset(1))
        peer.send(h2.headers(5, _fields(), end=False), h2.data(5, b"{}" + b" " * 900, end=True))
        assert dict((await peer.until(h2.HEADERS, stream=5)).fields)[b":status"] == b"200"
        await peer.close()


async def test_who_does_not_end_a_request_that_is_too_large_is_answered_all_the_same() -> None:
    async with serving(json=True, options=ServerOptions(limits=Limits(max_receive_message=1000))) as (_, address):
        peer = await h2.Peer.connect(int(address.rpartition(":")[2]))
        peer.send(h2.headers(1, _fields(), end=False), h2.data(1, b"x" * 1500))
        assert dict((await peer.until(h2.HEADERS, stream=1)).fields)[b":status"] == b"429"
        await peer.close()


async def test_tls_offers_both(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    key = tmp_path / "key.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(key)
    tls = TlsSettings(server_context(cert=key))
    trusted = client_context(ca=authority.cert_pem.bytes())
    async with serving(json=True, tls=tls) as (_, address):
        port = int(address.rpartition(":")[2])
        client = TlsSettings(trusted, server_name="localhost")
        async with Channel(address, tls=client, options=ClientOptions()) as channel:
            assert (await EchoClient(channel).unary(EchoRequest(text="grpc"))).text == "grpc"
        http1 = client_context(ca=authority.cert_pem.bytes())
        http1.set_alpn_protocols(["http/1.1"])
        async with connected(port, http1, server_hostname="localhost") as peer:
            await peer.send(post(UNARY, '{"text": "x"}'))
            assert json.loads((await peer.answer()).body) == {"text": "x"}


def test_uvloop_has_transports_of_its_own(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_tls_offers_both(tmp_path))
        runner.run(test_grpc_and_plain_http_share_a_port())
        runner.run(test_closing_without_grace_says_unavailable())


async def test_closing_lets_calls_end_and_refuses_nobody_half_way() -> None:
    service = EchoService()
    server = Server([service], json=True)
    async with connected(await server.listen()) as peer:
        await peer.send(post(UNARY, '{"text": "last", "sleepMs": 200}'))
        await asyncio.wait_for(service.started.wait(), 30)
        closing = asyncio.create_task(server.close(grace=5))
        answer = await peer.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await peer.ended()
        await closing


async def test_closing_without_grace_says_unavailable() -> None:
    service = EchoService()
    server = Server([service], json=True)
    async with connected(await server.listen()) as peer:
        await peer.send(post(UNARY, '{"text": "cut", "sleepMs": 5000}'))
        await asyncio.wait_for(service.started.wait(), 30)
        await server.close()
        assert error(await peer.answer())[:2] == (503, "unavailable")
    assert service.cancelled == ["cut"]


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h11", None)
    with pytest.raises(MissingExtra, match=r"meshkit\[json\]"):
        Server([EchoService()], json=True)
