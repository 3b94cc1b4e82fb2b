"""Our client against our server, and against scripted servers that do what good ones do not."""

import asyncio

import pytest

from meshkit.net import ClientOptions, ConnectionLost, Outcome, ServerOptions
from meshkit.wire import HeadersTooLarge, Limits
from tests.support import h2peer as h2
from tests.support.calls import connected, serving, start, unary
from tests.support.waiting import until


def answering(*frames):
    """A play that answers the first request's end with ``frames`` (made by functions of the stream id)."""

    async def play(peer):
        stream = 0
        while not stream:
            got = await peer.next()
            if got.kind in (h2.DATA, h2.HEADERS) and got.flags & h2.END_STREAM:
                stream = got.stream
        peer.send(*(make(stream) for make in frames))
        await peer.rest()

    return play


def head(*fields, end=False):
    return lambda stream: h2.headers(stream, h2.block(fields), end=end)


GRPC = ((b":status", b"200"), (b"content-type", b"application/grpc"))


async def outcome_of(*frames) -> Outcome:
    async with h2.scripted(answering(*frames)) as port, connected(port) as connection:
        return await unary(connection).outcome()


async def test_unary():
    async with serving() as (port, _, _), connected(port) as connection:
        call = unary(connection, b"hello")
        outcome = await call.outcome()
        assert call.messages == [b"hello"]
        assert outcome == Outcome(0, trailers=outcome.trailers, headers_received=True)
        assert connection.in_flight == 0
        assert dict(call.headers)[b":status"] == b"200"


async def test_a_lone_call_is_written_at_once_and_calls_of_one_turn_together():
    async with serving() as (port, service, _), connected(port) as connection:
        written = []
        write = connection._transport.write
        connection._transport = _Spy(connection._transport, lambda data: (written.append(data), write(data)))
        call = unary(connection)
        assert len(written) == 1
        await call.outcome()
        calls = [unary(connection) for _ in range(10)]
        await asyncio.gather(*(call.outcome() for call in calls))
        assert len(written) == 3
        assert len(service.handlers) == 11


async def test_one_stream_is_written_at_once_only_in_answer():
    async with serving() as (port, _, _), connected(port) as connection:
        written = []
        write = connection._transport.write
        connection._transport = _Spy(connection._transport, lambda data: (written.append(data), write(data)))
        call = start(connection, b"/test.Echo/Chat")
        assert written == []  # headers wait for the message that likely follows
        call.stream.send(b"one")
        assert await call.next() == b"one"
        assert len(written) == 1
        call.stream.send(b"two")
        assert len(written) == 2
        for _ in range(100):
            call.stream.send(b"more")
        assert len(written) == 2
        assert await call.next() == b"two"
        assert len(written) == 3
        call.stream.end()
        assert (await call.outcome()).status == 0


class _Spy:
    def __init__(self, transport, write):
        self._transport, self.write = transport, write

    def __getattr__(self, name):
        return getattr(self._transport, name)


async def test_streams_in_full_duplex():
    async with serving() as (port, _, _), connected(port) as connection:
        call = start(connection, b"/test.Echo/Chat")
        for text in (b"one", b"", b"three"):
            call.stream.send(text)
            assert await call.next() == text
        call.stream.end()
        assert (await call.outcome()).status == 0


async def test_errors_with_message_details_and_metadata():
    async with serving() as (port, _, _), connected(port) as connection:
        outcome = await start(connection, b"/test.Echo/Fail", message=b"", end=True).outcome()
        assert (outcome.status, outcome.message) == (9, "not now: 100 % é")
        assert outcome.details == b"\x08\x09"
        assert dict(outcome.trailers)[b"x-why"] == b"because"
        assert outcome.trailers_only
        assert not outcome.headers_received


async def test_metadata_and_timeout_reach_the_server():
    async with serving() as (port, service, _), connected(port) as connection:
        await unary(connection, fields=((b"grpc-timeout", b"5S"), (b"x-user", b"ada"), (b"x-user", b"bob"))).outcome()
        stream = service.handlers[0].stream
        assert [value for name, value in stream.fields if name == b"x-user"] == [b"ada", b"bob"]
        names = [name for name, _ in stream.fields]
        assert names.index(b"grpc-timeout") == 4
        assert stream.deadline is not None
        assert 4 < stream.deadline - asyncio.get_running_loop().time() <= 5
        assert stream.accept_encodings == ()
        assert dict(stream.fields)[b"user-agent"].startswith(b"grpc-python-meshkit/")


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
async def test_compression_both_ways(encoding):
    def zipped(handler):
        handler.stream.encoding = encoding
        handler.stream.reply(b"".join(handler.messages), compress=True)

    async with serving() as (port, service, _), connected(port) as connection:
        service.methods["Echo"] = zipped
        call = unary(connection, b"x" * 100_000, encoding=encoding)
        assert (await call.outcome()).status == 0
        assert call.messages == [b"x" * 100_000]
        assert dict(call.headers)[b"grpc-encoding"] == encoding


async def test_cancel_reaches_the_handler_and_silences_the_sink():
    async with serving() as (port, service, _), connected(port) as connection:
        call = start(connection, b"/test.Echo/Hang", message=b"", end=True)
        await until(lambda: service.handlers)
        call.stream.cancel()
        call.stream.cancel()
        await until(lambda: service.handlers[0].cancelled)
        assert service.handlers[0].cancelled == "reset"
        assert not call.ended.done()
        assert connection.in_flight == 0


async def test_large_messages_both_ways():
    limits = Limits(max_receive_message=64 << 20)
    async with serving(ServerOptions(limits=limits)) as (port, _, _), connected(port) as connection:
        body = bytes(range(256)) * (48 << 12)
        call = unary(connection, body, max_receive=64 << 20)
        assert (await call.outcome()).status == 0
        assert call.messages == [body]


async def test_a_response_over_the_limit_is_resource_exhausted():
    async with serving() as (port, _, _), connected(port) as connection:
        call = start(connection, b"/test.Echo/Big", message=b"5000000", end=True)
        outcome = await call.outcome()
        assert outcome.status == 8
        assert call.messages == []
        assert (await unary(connection).outcome()).status == 0


async def test_a_request_over_the_limit_is_resource_exhausted():
    async with serving() as (port, _, _), connected(port) as connection:
        assert (await unary(connection, bytes(5_000_000)).outcome()).status == 8
        assert (await unary(connection).outcome()).status == 0


# -- the end of responses


async def test_missing_trailers_are_internal():
    outcome = await outcome_of(head(*GRPC), lambda s: h2.data(s, h2.message(b"x"), end=True))
    assert outcome.status == 13
    assert outcome.headers_received


async def test_trailers_without_status_are_internal():
    outcome = await outcome_of(head(*GRPC), head((b"x", b"y"), end=True))
    assert outcome.status == 13


async def test_a_status_that_is_no_number_is_unknown():
    outcome = await outcome_of(head(*GRPC), head((b"grpc-status", b"no"), (b"grpc-message", b"why"), end=True))
    assert outcome.status == 2
    assert "why" in outcome.message


async def test_messages_are_read_whatever_is_in_them():
    raw = "100 % \u00e9".encode()
    outcome = await outcome_of(head(*GRPC, (b"grpc-status", b"5"), (b"grpc-message", raw), end=True))
    assert (outcome.status, outcome.message) == (5, "100 % \u00e9")


@pytest.mark.parametrize(
    ("http", "status"),
    [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (429, 14),
        (431, 13),
        (502, 14),
        (503, 14),
        (504, 14),
        (500, 2),
        (302, 2),
    ],
)
@pytest.mark.parametrize("end", [True, False])
async def test_http_errors(http, status, end):
    fields = ((b":status", b"%d" % http), (b"content-type", b"text/html"))
    outcome = await outcome_of(head(*fields, end=end), *([] if end else [lambda s: h2.data(s, b"<html>", end=True)]))
    assert outcome.status == status
    assert str(http) in outcome.message


async def test_grpc_status_precedes_http_status():
    fields = ((b":status", b"503"), (b"content-type", b"application/grpc"), (b"grpc-status", b"7"))
    assert (await outcome_of(head(*fields, end=True))).status == 7


async def test_a_response_that_is_not_grpc_is_unknown():
    outcome = await outcome_of(
        head((b":status", b"200"), (b"content-type", b"text/html")), lambda s: h2.data(s, b"<html>" * 1000, end=True)
    )
    assert outcome.status == 2
    assert "text/html" in outcome.message


async def test_informational_headers_are_skipped():
    outcome = await outcome_of(
        head((b":status", b"103")),
        head(*GRPC),
        lambda s: h2.data(s, h2.message(b"x")),
        head((b"grpc-status", b"0"), end=True),
    )
    assert outcome.status == 0


@pytest.mark.parametrize(
    ("code", "status"), [(0, 13), (1, 13), (2, 13), (3, 13), (7, 14), (8, 1), (11, 8), (12, 7), (99, 2)]
)
async def test_resets(code, status):
    outcome = await outcome_of(lambda s: h2.reset(s, code))
    assert outcome.status == status
    assert outcome.unprocessed is (code == 7)


async def test_a_reset_after_headers_is_committed():
    outcome = await outcome_of(head(*GRPC), lambda s: h2.reset(s, 2))
    assert outcome.headers_received
    assert not outcome.unprocessed


async def test_early_trailers_end_a_call_whose_requests_go_on():
    async def play(peer):
        got = await peer.until(h2.HEADERS)
        peer.send(h2.headers(got.stream, h2.block((*GRPC, (b"grpc-status", b"5"))), end=True))
        reset = await peer.until(h2.RST_STREAM)
        assert int.from_bytes(reset.payload, "big") in (0, 8)

    async with h2.scripted(play) as port, connected(port) as connection:
        call = start(connection)
        assert (await call.outcome()).status == 5
        call.stream.send(b"late")
        call.stream.end()
        await until(lambda: connection.ending)


# -- the end of connections


async def test_a_killed_server_is_unavailable():
    async def play(peer):
        await peer.until(h2.HEADERS)
        peer.writer.transport.abort()

    async with h2.scripted(play) as port, connected(port) as connection:
        outcome = await unary(connection).outcome()
        assert outcome.status == 14
        assert f"127.0.0.1:{port}" in outcome.message
        assert not outcome.unprocessed
        with pytest.raises(ConnectionLost, match=str(port)):
            unary(connection)


async def test_a_server_that_breaks_the_protocol_is_unavailable_with_the_reason():
    async def play(peer):
        await peer.until(h2.HEADERS)
        peer.send(h2.frame(h2.DATA, 0, 0, b"x"))
        goaway = await peer.until(h2.GOAWAY)
        assert int.from_bytes(goaway.payload[4:8], "big") == 1

    async with h2.scripted(play) as port, connected(port) as connection:
        outcome = await unary(connection).outcome()
        assert outcome.status in (13, 14)
        assert outcome.message


async def test_goaway_finishes_what_was_taken_and_hands_back_the_rest():
    async def play(peer):
        for _ in range(3):
            await peer.until(h2.DATA)
        peer.send(h2.goaway(3, 0, b"bye"))
        for stream in (1, 3):
            peer.send(h2.headers(stream, h2.RESPONSE), h2.headers(stream, h2.OK, end=True))
        await peer.rest()

    async with h2.scripted(play) as port, connected(port) as connection:
        calls = [unary(connection) for _ in range(3)]
        outcomes = [await call.outcome() for call in calls]
        assert [outcome.status for outcome in outcomes] == [0, 0, 14]
        assert [outcome.unprocessed for outcome in outcomes] == [False, False, True]
        await asyncio.wait_for(connection.closed, 30)


async def test_what_never_left_is_unprocessed():
    async def play(peer):
        await peer.rest()

    async with h2.scripted(play) as port, connected(port) as connection:
        left, kept = unary(connection), unary(connection)
        connection._transport.abort()  # the first was written at once, the second waits for the turn's end
        assert not (await left.outcome()).unprocessed
        outcome = await kept.outcome()
        assert outcome.status == 14
        assert outcome.unprocessed


async def test_streams_wait_their_turn():
    limits = Limits(max_concurrent_streams=2)
    async with serving(ServerOptions(limits=limits)) as (port, service, _), connected(port) as connection:
        order = []
        calls = [unary(connection, b"%d" % number) for number in range(20)]
        for number, call in enumerate(calls):
            call.ended.add_done_callback(lambda _, number=number: order.append(number))
        assert connection.statistics().waiting == 18
        for number, call in enumerate(calls):
            assert (await call.outcome()).status == 0
            assert call.messages == [b"%d" % number]
        await asyncio.sleep(0)
        assert order == list(range(20))
        assert max(len(handler.messages) for handler in service.handlers) == 1


async def test_a_waiting_stream_can_send_more_end_and_be_cancelled():
    limits = Limits(max_concurrent_streams=1)
    async with serving(ServerOptions(limits=limits)) as (port, service, _), connected(port) as connection:
        first = start(connection, b"/test.Echo/Chat")
        second, third = start(connection, b"/test.Echo/Chat"), start(connection, b"/test.Echo/Chat")
        assert not second.stream.writable
        second.stream.cancel()
        second.stream.send(b"nothing")
        third.stream.send(b"a")
        third.stream.send(b"b", end=True)
        first.stream.end()
        assert (await first.outcome()).status == 0
        assert (await third.outcome()).status == 0
        assert third.messages == [b"a", b"b"]
        assert len(service.handlers) == 2


async def test_a_waiting_stream_is_told_when_it_may_write():
    limits = Limits(max_concurrent_streams=1)
    async with serving(ServerOptions(limits=limits)) as (port, _, _), connected(port) as connection:
        first, second = start(connection, b"/test.Echo/Chat"), start(connection, b"/test.Echo/Chat")
        first.stream.end()
        await asyncio.wait_for(second.drain(), 30)
        second.stream.send(b"now", end=True)
        assert (await second.outcome()).status == 0
        assert second.messages == [b"now"]


async def test_more_streams_as_soon_as_settings_allow():
    async def play(peer):
        await peer.until(h2.DATA)
        peer.send(h2.settings((3, 2)))
        got = await peer.until(h2.HEADERS)
        assert got.stream == 3
        for stream in (1, 3):
            peer.send(h2.headers(stream, h2.block((*GRPC, (b"grpc-status", b"0"))), end=True))
        await peer.rest()

    async with h2.scripted(play, (3, 1)) as port, connected(port) as connection:
        calls = [unary(connection), unary(connection)]
        assert [(await call.outcome()).status for call in calls] == [0, 0]


async def test_waiting_streams_are_unprocessed_when_the_server_goes():
    async def play(peer):
        await peer.until(h2.DATA)
        peer.send(h2.goaway(1))
        peer.send(h2.headers(1, h2.block((*GRPC, (b"grpc-status", b"0"))), end=True))
        await peer.rest()

    async with h2.scripted(play, (3, 1)) as port, connected(port) as connection:
        first, second = unary(connection), unary(connection)
        assert (await second.outcome()).unprocessed
        assert (await first.outcome()).status == 0


async def test_identifiers_that_run_out_retire_the_connection(monkeypatch):
    monkeypatch.setattr("meshkit.net.client._ROTATE_AT", 4)
    async with serving() as (port, _, _), connected(port) as connection:
        calls = [unary(connection) for _ in range(3)]
        assert not connection.ready
        assert [(await call.outcome()).status for call in calls] == [0, 0, 0]
        await asyncio.wait_for(connection.closed, 30)


# -- flow control and memory


async def test_a_server_that_does_not_read_does_not_make_us_buffer_without_end():
    stop = asyncio.Event()

    async def play(peer):
        peer.send(h2.window_update(0, 2**31 - 1 - 65535))
        peer.reader._limit = 1
        await stop.wait()

    async with h2.scripted(play, (4, 2**31 - 1)) as port, connected(port) as connection:
        call = start(connection)
        sent = 0
        while call.stream.writable and sent < 200 << 20:
            call.stream.send(bytes(64 << 10))
            sent += 64 << 10
            await asyncio.sleep(0)
        assert sent < 20 << 20
        assert not call.stream.writable
        stop.set()


async def test_backpressure_from_a_slow_reader_and_back_again():
    async with serving() as (port, service, _), connected(port) as connection:
        service.hoard = True
        call = start(connection, b"/test.Echo/Sink")
        sent = 0
        while call.stream.writable:
            call.stream.send(bytes(32 << 10))
            sent += 1
            await asyncio.sleep(0)
        assert sent * 32 < 8 << 10
        held = sum(len(m) for m in service.handlers[0].messages)
        for _ in range(20):
            await asyncio.sleep(0.002)
        held = sum(len(m) for m in service.handlers[0].messages)
        service.hoard = False
        service.handlers[0].stream.acknowledge(held)
        await asyncio.wait_for(call.drain(), 30)
        assert call.stream.writable


async def test_reading_pauses_while_the_application_lags():
    options = ClientOptions(max_unread=100_000)

    def pour(handler):
        for _ in range(40):
            handler.stream.send(bytes(10_000))
        handler.stream.finish(0)

    async with serving() as (port, service, _), connected(port, options) as connection:
        service.methods["Pour"] = pour
        call = start(connection, b"/test.Echo/Pour", end=True)
        await until(lambda: connection.reading.paused)
        other = unary(connection)
        await asyncio.sleep(0.05)
        assert not other.ended.done()
        for _ in range(40):
            await call.next()
        assert (await other.outcome()).status == 0
        assert (await call.outcome()).status == 0
        assert connection.reading.unread == 0


async def test_headers_larger_than_the_server_takes_are_not_sent():
    async def play(peer):
        got = await peer.until(h2.HEADERS)
        assert dict(got.fields)[b":path"] == b"/test.Echo/Echo"
        await peer.until(h2.HEADERS, stream=3)
        await peer.rest()

    async with h2.scripted(play, (6, 500)) as port, connected(port) as connection:
        fits = unary(connection)
        for more in ({"message": b"x", "end": True}, {}):  # a unary call, and a stream
            with pytest.raises(HeadersTooLarge, match=r"headers are \d+ bytes, and the server takes 500 at most"):
                start(connection, fields=((b"x-much", b"y" * 400),), **more)
        assert connection.in_flight == 1
        fits.stream.cancel()
        unary(connection)
        await asyncio.sleep(0.02)


async def test_a_limit_on_headers_that_comes_later_holds_for_what_waits():
    async def play(peer):
        await peer.until(h2.HEADERS)
        peer.send(h2.settings((3, 1), (6, 500)), h2.reset(1, 8))
        await peer.rest()

    async with h2.scripted(play, (3, 1)) as port, connected(port) as connection:
        unary(connection)
        waiting = unary(connection, fields=((b"x-much", b"y" * 400),))
        outcome = await waiting.outcome()
        assert (outcome.status, connection.in_flight) == (8, 0)
        assert "the server takes 500 at most" in outcome.message
