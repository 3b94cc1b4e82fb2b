"""HTTP/1.1 at our server: what comes in pieces, in a row, too slowly, too large, or is none at all."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trustme

from meshkit.net import HttpStream, Server, ServerOptions, TlsSettings, client_context, server_context
from meshkit.net.http import UnfinishedRequest
from tests.support.http1 import Answering, connected, post, serving
from tests.support.waiting import until


async def test_bytes_may_come_one_by_one() -> None:
    async with serving() as (_, _, peer, _):
        for byte in post("/a", "hello"):
            await peer.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await peer.answer()).body == b"hello"


async def test_requests_in_a_row_are_answered_in_turn() -> None:
    async with serving() as (answering, server, peer, _):
        await peer.send(b"".join(post(f"/{number}", str(number)) for number in range(5)))
        assert [(await peer.answer()).body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        (figures,) = server.statistics()
        assert (figures.started, figures.running, figures.streams) == (5, 0, 0)
        assert answering.targets == [b"/0", b"/1", b"/2", b"/3", b"/4"]


async def test_the_next_request_waits_for_the_answer_before() -> None:
    async with serving() as (answering, server, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        await peer.send(post("/next", "n"))
        await until(lambda: server.statistics()[0].unread > 0)
        assert answering.targets == [b"/hold"]
        answering.held[0].respond(200, [], b"first")
        assert [(await peer.answer()).body for _ in range(2)] == [b"first", b"n"]


async def test_reading_pauses_while_much_waits() -> None:
    async with serving() as (answering, server, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        flood = b"".join(post("/x", b"x" * 100_000) for _ in range(100))
        sending = asyncio.create_task(peer.send(flood))
        await asyncio.sleep(0.1)
        assert server.statistics()[0].unread < 1_000_000
        answering.held[0].respond(200, [])
        assert (await peer.answer()).body == b""
        assert [len((await peer.answer()).body) for _ in range(100)] == [100_000] * 100
        await sending


async def test_reading_pauses_while_an_answer_is_not_read() -> None:
    async with serving() as (answering, server, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        answering.held[0].respond(200, [], bytes(32 << 20))  # more than sockets hold
        flood = asyncio.create_task(peer.send(b"POST /x HTTP/1.1\r\nx: " + b"x" * (32 << 20)))
        await until(lambda: server.statistics()[0].blocked and server.statistics()[0].unread > 0)
        await asyncio.sleep(0.3)  # for what comes all the same
        assert 0 < server.statistics()[0].unread < 1_000_000
        assert not flood.done()
        flood.cancel()
        with suppress(asyncio.CancelledError):
            await flood
        peer.writer.transport.abort()  # closing would wait until the server takes the rest, or gives up


async def test_what_waits_comes_before_what_follows_with_tls_too(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "key.pem")
    answering = Answering()
    tls = TlsSettings(server_context(cert=str(tmp_path / "key.pem")))
    server = Server(lambda stream: stream.release(), tls=tls, http=answering.accept)
    trusted = client_context(ca=authority.cert_pem.bytes())
    trusted.set_alpn_protocols(["http/1.1"])
    try:
        async with connected(await server.listen(), trusted, server_hostname="localhost") as peer:
            await peer.send(post("/hold"))
            await asyncio.wait_for(answering.holding.wait(), 30)
            flood = b"".join(post("/x", f"{number:05}" * 1000) for number in range(400))
            sending = asyncio.create_task(peer.send(flood))
            await asyncio.sleep(0.1)
            answering.held[0].respond(200, [])
            await peer.answer()
            assert [int((await peer.answer()).body[:5]) for _ in range(400)] == list(range(400))
            await sending
    finally:
        await server.close()


async def test_small_pieces_take_no_more_memory_than_large_ones() -> None:
    stream = SimpleNamespace(began=0.0, arm=lambda *_: None)
    gathered = UnfinishedRequest(cast(HttpStream, stream), ServerOptions(), lambda _: None)
    tracemalloc.start()
    try:
        for number in range(1 << 17):
            gathered.add(bytes((number & 255, number >> 9)), 0.0)
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()


async def test_an_answer_may_have_any_metadata() -> None:
    async with serving() as (answering, _, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        answering.held[0].respond(200, [(b"content-length", b"abc"), (b"x", b" y ")], b"body")
        answer = await peer.answer()
        assert (answer.body, answer.headers["x"]) == (b"body", "y")


async def test_chunks_and_expect_continue() -> None:
    async with serving() as (_, _, peer, _):
        head = b"POST /a HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
        await peer.send(head)
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        await peer.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await peer.answer()).body == b"abcde"


async def test_a_body_that_is_too_large_ends_the_connection() -> None:
    async with serving(max_receive_message=100) as (_, _, peer, _):
        await peer.send(post("/a", b"x" * 1000))
        answer = await peer.answer()
        assert (answer.body, answer.headers["connection"]) == (b"too large", "close")
        assert await peer.ended()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x00\xa5\x01\x00", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\nhost: t\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: gzip\r\nhost: t\r\n\r\n", 501),
        (b"POST /a HTTP/1.1\r\nno-host: t\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nhost: t\r\nname : x\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nhost: t\r\nlong: " + b"x" * 2000 + b"\r\n\r\n", 431),
        (b"PRINT /a HTTP/1.1\r\nhost: " + b"t" * 5000, 431),
    ],
)
async def test_what_is_not_http_is_told_so_and_closed(data: bytes, status: int) -> None:
    async with serving(max_header_list_size=1000) as (answering, _, peer, _):
        await peer.send(data)
        if not data.startswith(b"PRI"):
            answer = await peer.answer()
            assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert await peer.ended() or data.startswith(b"PRI")
        assert answering.targets == []


async def test_http_1_0_is_answered_and_closed() -> None:
    async with serving() as (_, _, peer, _):
        await peer.send(b"POST /a HTTP/1.0\r\ncontent-length: 2\r\n\r\nhi")
        assert (await peer.answer()).body == b"hi"
        assert await peer.ended()


async def test_head_is_answered_without_a_body() -> None:
    async with serving() as (_, _, peer, _):
        await peer.send(post("/a", "hello").replace(b"POST", b"HEAD", 1) + post("/b", "x"))
        head = await peer.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 5" in head
        assert (await peer.answer()).body == b"x"


@pytest.mark.parametrize(("options", "pause"), [({"write_timeout": 0.1}, 5.0), ({"body_timeout": 0.1}, 0.01)])
async def test_a_body_that_comes_too_slowly_is_told_so(options: dict[str, float], pause: float) -> None:
    async with serving(**options) as (answering, _, peer, _):
        await peer.send(b"POST /a HTTP/1.1\r\nhost: t\r\ncontent-length: 99999\r\n\r\nhalf")
        answered = asyncio.create_task(peer.answer())
        while not answered.done():
            await asyncio.wait([answered], timeout=pause)
            peer.writer.write(b"x")
        assert (answered.result().status, answered.result().body) == (408, b"the body came too slowly\n")
        assert await peer.ended()
        assert answering.targets == []


async def test_a_body_buys_time_by_its_bytes() -> None:
    async with serving(body_timeout=0.05) as (_, _, peer, _):
        await peer.send(b"POST /a HTTP/1.1\r\nhost: t\r\ncontent-length: 409601\r\n\r\n" + b"x" * 409600)
        await asyncio.sleep(0.2)
        await peer.send(b"x")
        assert len((await peer.answer()).body) == 409601


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"preface_timeout": 0.1}, b""),
        ({"preface_timeout": 0.1}, b"PR"),
        ({"header_timeout": 0.1}, b"POST /a HTTP/1.1\r\nhost:"),
        ({"header_timeout": 1.0}, post("/a") + b"POST /b"),
    ],
)
async def test_who_is_too_slow_is_cut_off(settings: dict[str, float], sent: bytes) -> None:
    async with serving(**settings) as (_, _, peer, _):
        await peer.send(sent)
        if sent.startswith(post("/a")):
            assert (await peer.answer()).status == 200
        assert await peer.ended()


async def test_a_trickle_of_headers_is_cut_off_all_the_same() -> None:
    async with serving(header_timeout=0.2) as (_, _, peer, _):
        await peer.send(b"POST /a HTTP/1.1\r\n")
        ended = asyncio.create_task(peer.ended())
        while not ended.done():
            peer.writer.write(b"x: y\r\n")
            await asyncio.sleep(0.02)
        assert await ended


async def test_a_connection_reaches_its_greatest_age_between_answers() -> None:
    async with serving(max_connection_age=2.0) as (answering, server, peer, port), connected(port) as idle:
        await idle.send(post("/a"))
        await idle.answer()
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        assert await idle.ended()
        await until(lambda: [one.ending for one in server.statistics()] == ["it reached its greatest age"])
        assert answering.cancelled == []
        answering.held[0].respond(200, [], b"last")
        answer = await peer.answer()
        assert (answer.body, answer.headers["connection"]) == (b"last", "close")
        assert await peer.ended()


async def test_a_call_that_outlasts_the_grace_of_its_connection_is_cancelled() -> None:
    async with serving(max_connection_age=1.0, max_connection_age_grace=0.05) as (answering, _, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.left.wait(), 30)
        assert await peer.ended()


async def test_an_idle_connection_is_closed() -> None:
    async with serving(max_connection_idle=1.0) as (_, _, peer, _):
        await peer.send(post("/a"))
        await peer.answer()
        assert await peer.ended()


async def test_a_server_that_closes_lets_a_request_come_whole() -> None:
    async with serving() as (_, server, peer, _):
        request = post("/a", "late")
        await peer.send(post("/a") + request[:30])
        await peer.answer()
        await until(lambda: [one.unread for one in server.statistics()] == [30])
        closing = asyncio.create_task(server.close(grace=30))
        await asyncio.sleep(0.05)
        await peer.send(request[30:])
        answer = await peer.answer()
        assert (answer.body, answer.headers["connection"]) == (b"late", "close")
        await closing


async def test_a_server_that_closes_now_waits_for_no_body() -> None:
    async with serving() as (_, server, peer, _):
        await peer.send(b"POST /a HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\nhalf")
        await until(lambda: [one.streams for one in server.statistics()] == [1])
        closing = asyncio.create_task(server.close())
        assert await peer.ended()
        await closing


async def test_handlers_that_do_not_end_are_bounded() -> None:
    async with serving(max_handlers=2) as (answering, server, peer, _):
        for number in range(2):
            await peer.send(post("/hold"))
            await until(lambda number=number: len(answering.held) == number + 1)
            answering.held[number].respond(200, [])
            await peer.answer()
        await peer.send(post("/hold"))
        assert (await peer.answer()).status == 503
        answering.held[0].release()
        await peer.send(post("/a", "again"))
        assert (await peer.answer()).body == b"again"
        assert server.statistics()[0].running == 1


async def test_who_closes_its_half_has_left() -> None:
    async with serving() as (answering, _, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        peer.writer.write_eof()
        await asyncio.wait_for(answering.left.wait(), 30)
        assert await peer.ended()


async def test_who_does_not_read_is_cut_off() -> None:
    async with serving(write_timeout=0.2, max_receive_message=32 << 20) as (answering, _, peer, _):
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        stream = answering.held[0]
        stream.respond(200, [], b"x" * (20 << 20))
        async with asyncio.timeout(30):
            await stream.connection.closed  # type: ignore[attr-defined]


async def test_a_server_that_closes_waits_for_answers_only() -> None:
    async with serving() as (answering, server, peer, port), connected(port) as idle, connected(port) as silent:
        await idle.send(post("/a"))
        await idle.answer()
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        closing = asyncio.create_task(server.close(grace=30))
        assert await idle.ended() and await silent.ended()
        answering.held[0].respond(200, [], b"last")
        assert (await peer.answer()).body == b"last"
        await closing


async def test_who_leaves_is_told_to_the_handler() -> None:
    async with serving() as (answering, _, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        peer.writer.transport.abort()
        await asyncio.wait_for(answering.left.wait(), 30)
        assert answering.cancelled == ["connection"]
        answering.held[0].respond(200, [], b"to nobody")


async def test_garbage_breaks_nothing() -> None:
    random, failures = Random(1), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    good = post("/a", "hello", transfer_encoding="x") + post("/b", b"\0" * 50, expect="100-continue")
    async with serving(header_timeout=5, write_timeout=5) as (_, server, peer, port):
        for _ in range(200):
            bad = bytearray(good)
            for _ in range(random.randrange(1, 8)):
                bad[random.randrange(len(bad))] = random.randrange(256)
            async with connected(port) as other:
                await other.send(bytes(bad[: random.randrange(3, len(bad))]))
                other.writer.write_eof()
                async with asyncio.timeout(30):
                    with suppress(ConnectionResetError):
                        await other.reader.read(-1)
        await peer.send(post("/a", "still here"))
        assert (await peer.answer()).body == b"still here"
    assert failures == []
