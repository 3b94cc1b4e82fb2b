"""Replies that are not gRPC's: what their bodies say is in the error, and none of them holds a call for long."""

import pytest

from meshkit.net import Outcome
from tests.support import h2peer as h2
from tests.support.calls import connected, unary
from tests.support.waiting import until

HTML = ((b":status", b"502"), (b"content-type", b"text/html"))
JSON = ((b":status", b"404"), (b"content-type", b"application/json"))
SAID = "unexpected response: HTTP status 502, content-type 'text/html'"


def head(fields, *, end=False):
    return lambda stream: h2.headers(stream, h2.block(fields), end=end)


def body(payload, *, end=False):
    return lambda stream: h2.data(stream, payload, end=end)


async def answered(*frames, leave=False) -> tuple[Outcome, list[h2.Frame]]:
    """How a call ends that ``frames`` answer, and what the server then saw of it."""
    seen: list[h2.Frame] = []

    async def play(peer):
        stream = (await peer.until(h2.DATA, flags=h2.END_STREAM)).stream
        for make in frames:
            await peer.flood(make(stream))
        if not leave:
            while (got := await peer.next()) is not None:
                seen.append(got)

    async with h2.scripted(play) as port:
        async with connected(port) as connection:
            outcome = await unary(connection).outcome()
            assert connection.in_flight == 0
            assert not connection.engine.streams
        await until(lambda: leave or any(got.kind == h2.GOAWAY for got in seen))
    return outcome, seen


def resets(seen) -> int:
    return sum(got.kind == h2.RST_STREAM for got in seen)


async def test_a_whole_body():
    outcome, seen = await answered(head(JSON), body(b'{"error": '), body(b'"no such route"}', end=True))
    assert outcome.status == 12
    assert outcome.message.endswith("""HTTP status 404, content-type 'application/json': {"error": "no such route"}""")
    assert (outcome.trailers_only, outcome.headers_received, resets(seen)) == (True, False, 0)


async def test_a_body_that_ends_with_trailers():
    outcome, _ = await answered(head(HTML), body(b"Bad Gateway"), head([(b"x-proxy", b"1")], end=True))
    assert (outcome.status, outcome.message) == (14, f"{SAID}: Bad Gateway")


async def test_no_body():
    outcome, _ = await answered(head(HTML), body(b"", end=True))
    assert (outcome.status, outcome.message) == (14, SAID)


@pytest.mark.parametrize("piece", [1, 100, 16_384])
async def test_no_more_is_read_than_is_told(piece):
    outcome, seen = await answered(head(HTML), *[body(b"x" * piece)] * (1024 // piece + 1))
    assert outcome.message == f"{SAID}: {'x' * 200}..."
    assert resets(seen) == 1


@pytest.mark.parametrize("frames", [[], [body(b"Bad")]], ids=["nothing", "a beginning"])
async def test_a_body_that_does_not_end_is_not_waited_for(frames):
    outcome, seen = await answered(head(HTML), *frames)
    assert (outcome.status, outcome.message) == (14, f"{SAID}: Bad" if frames else SAID)
    assert resets(seen) == 1


@pytest.mark.parametrize("last", [lambda stream: h2.reset(stream, 2), lambda _: b"\0\0\0\4\0\0\0\0\1"])
async def test_a_reply_stands_whatever_ends_it(last):
    outcome, _ = await answered(head(HTML), body(b"Bad"), last)  # a reset; SETTINGS on a stream, which ends all
    assert (outcome.status, outcome.message) == (14, f"{SAID}: Bad")


async def test_a_reply_stands_when_its_connection_is_lost():
    outcome, _ = await answered(head(HTML), body(b"Bad"), leave=True)
    assert (outcome.status, outcome.message) == (14, f"{SAID}: Bad")


async def test_a_body_that_claims_to_be_messages_is_not_waited_for():
    outcome, seen = await answered(head([(b":status", b"503"), (b"content-type", b"application/grpc")]))
    assert outcome.status == 14
    assert resets(seen) == 1


async def test_a_call_that_is_given_up_meanwhile_is_over():
    async def play(peer):
        stream = (await peer.until(h2.DATA, flags=h2.END_STREAM)).stream
        peer.send(head(HTML)(stream), body(b"Bad")(stream))
        await peer.until(h2.RST_STREAM)
        peer.send(body(b"Gateway", end=True)(stream))
        await peer.rest()

    async with h2.scripted(play) as port, connected(port) as connection:
        call = unary(connection)
        await until(lambda: connection._responses.http._replies)
        call.stream.cancel()
        assert connection.in_flight == 0
        await until(lambda: not connection._responses.http._replies)
        assert connection.ready
