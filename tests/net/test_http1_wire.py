"""What the bytes of HTTP/1.1 mean: where a request ends, whom it is for, and what is an answer's own to say."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.http1 import Answer, connected, post, serving

HEAD = b"POST /a HTTP/1.1\r\nhost: t\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nhost: t\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
        HEAD + b"transfer-encoding: chunked\r\ncontent-length: 50\r\n\r\n0\r\n\r\n" + NEXT,
        b"POST /a HTTP/1.0\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
        HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n" + NEXT,
        HEAD + b"transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n" + NEXT,
        HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + NEXT,
        HEAD + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + NEXT,
        HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n" + NEXT,
        HEAD + b"content-length: 0\r\ncontent-length: 36\r\n\r\n" + NEXT,
        HEAD + b"content-length: 0, 36\r\n\r\n" + NEXT,
        *(
            HEAD + b"content-length: " + size + b"\r\n\r\n" + NEXT
            for size in (b"+0", b"-1", b"0x0", b"", b"1 1", b"9" * 30)
        ),
        *(
            HEAD + b"transfer-encoding: chunked\r\n\r\n" + size + b"\r\nabc\r\n0\r\n\r\n" + NEXT
            for size in (b"-3", b"0x3", b"g", b"", b" 3", b"f" * 40, b"3\n", b"3\rx")
        ),
        HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n" + NEXT,
        HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n" + NEXT,
        b"POST /a HTTP/1.1\r\n host: t\r\n\r\n" + NEXT,
        HEAD + b"host: u\r\n\r\n" + NEXT,
        HEAD + b"x: a\0b\r\n\r\n" + NEXT,
        HEAD + b"x\0y: a\r\n\r\n" + NEXT,
        HEAD + b"x: a\rcontent-length: 36\r\n\r\n" + NEXT,
        b"POST /a\0b HTTP/1.1\r\nhost: t\r\n\r\n" + NEXT,
        b"POST  /a HTTP/1.1\r\nhost: t\r\n\r\n" + NEXT,
        b"GET /a\r\n\r\n" + NEXT,
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
async def test_nothing_is_taken_from_a_request_of_doubtful_length(data: bytes, whole: bool) -> None:
    async with serving() as (answering, _, peer, _):
        for piece in [data] if whole else [data[:40], data[40:]]:
            await peer.send(piece)
            await asyncio.sleep(0)
        answer = await peer.answer()
        assert answer.status in (400, 501)
        assert answer.headers.get("connection", "close") == "close"
        assert await peer.ended()
        assert answering.targets == []


async def test_a_folded_field_is_one_value() -> None:
    async with serving() as (answering, _, peer, _):
        await peer.send(b"POST /hold HTTP/1.1\r\nhost: t\r\nx: a\r\n content-length: 9\r\n\r\n")
        await asyncio.wait_for(answering.holding.wait(), 30)
        assert dict(answering.held[0].fields)[b"x"] == b"a content-length: 9"
        answering.held[0].respond(200, [])


@pytest.mark.parametrize(
    ("target", "seen", "host"),
    [
        (b"/a?b=/c", b"/a?b=/c", b"t"),
        (b"http://mesh.test:80/a?b=c", b"/a?b=c", b"mesh.test:80"),
        (b"HTTPS://mesh.test/a", b"/a", b"mesh.test"),
        (b"http://mesh.test", b"/", b"mesh.test"),
        (b"http://mesh.test?b=/c", b"/?b=/c", b"mesh.test"),
        (b"/http://mesh.test/a", b"/http://mesh.test/a", b"t"),
        (b"ftp://mesh.test/a", b"ftp://mesh.test/a", b"t"),
        (b"*", b"*", b"t"),
    ],
)
async def test_a_target_may_be_a_whole_url(target: bytes, seen: bytes, host: bytes) -> None:
    async with serving() as (answering, _, peer, _):
        await peer.send(b"GET " + target + b" HTTP/1.1\r\nhost: t\r\n\r\n")
        assert (await peer.answer()).status == 200
        assert answering.targets == [seen]
        assert [value for name, value in answering.fields[0] if name == b"host"] == [host]


async def test_an_answer_tells_its_own_length_and_connection() -> None:
    names = b"connection transfer-encoding content-length keep-alive trailer upgrade date proxy-connection te".split()
    async with serving() as (answering, _, peer, _):
        await peer.send(post("/hold"))
        await asyncio.wait_for(answering.holding.wait(), 30)
        answering.held[0].respond(200, [*((name, b"99") for name in names), (b"x", b"y")], b"body")
        answer = await peer.answer()
        assert answer.body == b"body" and answer.headers["date"] != "99"
        assert set(answer.headers) == {"x", "date", "content-length"}
        await peer.send(post("/a", "next"))
        assert (await peer.answer()).body == b"next"


async def test_a_body_that_will_be_too_large_is_refused_before_it_is_sent() -> None:
    async with serving(max_receive_message=100) as (_, _, peer, _):
        await peer.send(HEAD + b"content-length: 101\r\nexpect: 100-continue\r\n\r\n")
        answer = await peer.answer(interim=False)
        assert (answer.body, answer.headers["connection"]) == (b"too large", "close")


def _answered(port: int, data: bytes) -> Answer:
    """By a client that reads only when it has written everything, as simple ones do."""

    async def ask() -> Answer:
        async with connected(port) as peer:
            await peer.send(data)
            return await peer.answer()

    return asyncio.run(ask())


async def test_who_still_sends_gets_the_answer() -> None:
    async with serving(max_receive_message=100) as (_, _, _, port):
        for data in (post("/a", b"x" * (20 << 20)), b"GARBAGE\r\n\r\n" + b"x" * (20 << 20)):
            answer = await asyncio.to_thread(_answered, port, data)
            assert (answer.body == b"too large") == (answer.status == 200)
