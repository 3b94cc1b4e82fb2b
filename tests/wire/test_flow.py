"""Windows (RFC 9113 sections 5.2 and 6.9): what is sent within them, what is given back, what waits."""

import pytest

from meshkit.wire import Connection, ErrorCode, Limits, Message, Reset, Role, Stream, Terminated, Writable
from tests.support.engines import OK, REQUEST, RESPONSE, Wire, credits, exchange, handshaken, of, pair
from tests.support.h2peer import (
    DATA,
    HEADERS,
    PREFACE,
    SETTINGS,
    data,
    frame,
    goaway,
    headers,
    message,
    request,
    settings,
    window_update,
)

INITIAL_WINDOW, MAX_FRAME = 4, 5


def sizes(wire: Wire) -> list[int]:
    """Lengths of the DATA frames written."""
    return [len(each.payload) for each in wire.output() if each.kind == DATA]


def test_nothing_goes_over_the_connections_window():
    wire = handshaken(Role.CLIENT, None, (INITIAL_WINDOW, 1 << 20))
    stream = wire.open()
    wire.engine.send_message(stream, bytes(100_000), end=True)
    assert sum(sizes(wire)) == 65535
    assert wire.engine.queued == stream.queued == 100_005 - 65535
    wire.feed(window_update(0, 10))
    assert sizes(wire) == [10]
    wire.feed(window_update(0, 1 << 20))
    assert sum(sizes(wire)) == 100_005 - 65545
    assert wire.engine.queued == stream.queued == 0
    assert stream.state == 1  # our half is over


def test_nothing_goes_over_the_streams_window():
    wire = handshaken(Role.CLIENT, None, (INITIAL_WINDOW, 10))
    stream = wire.open()
    wire.engine.send_message(stream, b"x" * 20)
    assert sizes(wire) == [10]
    wire.feed(window_update(0, 1000))
    assert sizes(wire) == []
    wire.feed(window_update(1, 5))
    assert sizes(wire) == [5]
    wire.feed(settings((INITIAL_WINDOW, 20)))
    assert sizes(wire) == [10]
    assert wire.engine.queued == 0


def test_frames_are_no_larger_than_the_peer_takes():
    wire = handshaken(Role.CLIENT, None, (MAX_FRAME, 20_000))
    wire.engine.send_message(wire.open(), bytes(50_000), end=True)
    assert max(sizes(wire)) <= 20_000
    assert wire.engine.queued == 0


def test_a_window_may_become_negative():
    wire = handshaken(Role.CLIENT)
    stream = wire.open()
    wire.engine.send_message(stream, bytes(995))
    wire.output()
    wire.feed(settings((INITIAL_WINDOW, 100)))
    assert stream.send_window == 100 - 1000
    wire.engine.send_message(stream, b"more")
    wire.output()
    wire.feed(window_update(1, 900))
    assert sizes(wire) == []
    wire.feed(window_update(1, 4))
    assert sizes(wire) == [4]
    wire.feed(settings((INITIAL_WINDOW, 105)))
    assert sizes(wire) == [5]
    assert wire.engine.queued == 0


def test_trailers_follow_what_is_queued():
    wire = handshaken(Role.SERVER, None, (INITIAL_WINDOW, 8))
    wire.feed(headers(1, request(), end=True))
    stream = wire.engine.streams[1]
    wire.engine.send_headers(stream, RESPONSE)
    wire.engine.send_message(stream, b"0123456789")
    wire.engine.send_headers(stream, OK, end=True)
    assert [each.kind for each in wire.output()] == [HEADERS, DATA]
    wire.feed(window_update(1, 100))
    last = wire.output()
    assert [(each.kind, each.flags & 1) for each in last] == [(DATA, 0), (HEADERS, 1)]
    assert not wire.engine.streams


def test_the_end_follows_what_is_queued():
    wire = handshaken(Role.CLIENT, None, (INITIAL_WINDOW, 8))
    stream = wire.open()
    wire.engine.send_message(stream, b"0123456789")
    wire.engine.end(stream)
    wire.engine.send_message(stream, b"too late")
    wire.output()
    wire.feed(window_update(1, 100))
    sent = wire.output()
    assert sent[-1].flags & 1
    assert sum(len(each.payload) for each in sent) == 7
    assert wire.engine.queued == 0


def test_streams_that_wait_for_the_connection_take_turns():
    wire = handshaken(Role.CLIENT, None, (INITIAL_WINDOW, 1 << 20))
    streams = [wire.open() for _ in range(3)]
    for stream in streams:
        wire.engine.send_message(stream, bytes(80_000), end=True)
    wire.output()
    seen = []
    for _ in range(60):
        wire.feed(window_update(0, 4000))
        seen += [each.stream for each in wire.output()]
    assert wire.engine.queued == 0
    assert set(seen) == {1, 3, 5}


def test_writable_is_told_once_between_the_marks():
    wire = handshaken(Role.CLIENT, Limits(write_high=1000, write_low=100), (INITIAL_WINDOW, 0))
    stream = wire.open()
    wire.engine.send_message(stream, bytes(500))
    assert stream.writable
    wire.engine.send_message(stream, bytes(500))
    assert not stream.writable
    assert of(wire.feed(window_update(1, 800)), Writable) == []
    assert of(wire.feed(window_update(1, 150)), Writable) == [Writable(stream)]
    assert stream.writable
    assert of(wire.feed(window_update(1, 60)), Writable) == []


def test_a_reset_drops_what_is_queued():
    wire = handshaken(Role.CLIENT, None, (INITIAL_WINDOW, 0))
    stream = wire.open()
    wire.engine.send_message(stream, bytes(500))
    assert wire.engine.queued == 505
    wire.engine.reset(stream, ErrorCode.CANCEL)
    assert (wire.engine.queued, stream.queued, wire.engine.streams) == (0, 0, {})
    wire.output()
    wire.feed(settings((INITIAL_WINDOW, 1000)))
    assert sizes(wire) == []


def test_a_goaway_drops_what_is_queued():
    wire = handshaken(Role.CLIENT, None, (INITIAL_WINDOW, 0))
    wire.engine.send_message(wire.open(), bytes(500))
    assert [event.unprocessed for event in of(wire.feed(goaway(0)), Reset)] == [True]
    assert wire.engine.queued == 0


# -- receiving


def serving(limits: Limits) -> tuple[Wire, Stream]:
    wire = handshaken(Role.SERVER, limits)
    wire.feed(headers(1, request()))
    return wire, wire.engine.streams[1]


def test_data_over_the_streams_window():
    wire, _ = serving(Limits(stream_window=1 << 16))
    events = wire.feed(*(data(1, message(bytes(16379))) for _ in range(5)))
    assert [event.code for event in of(events, Reset)] == [ErrorCode.FLOW_CONTROL_ERROR]
    assert not of(events, Terminated)


def test_the_connections_window_does_not_close_while_it_is_read():
    wire, _ = serving(Limits(stream_window=1 << 20, connection_window=1 << 16))
    chunk = data(1, message(bytes(16379)))
    credit = 1 << 16
    for _ in range(60):
        assert credit >= 16384
        assert not of(wire.feed(chunk), Terminated)
        credit += sum(size for number, size in credits(wire.output()) if number == 0) - 16384


@pytest.mark.parametrize("window", [200, 65535, 1 << 20])
def test_streams_opened_before_our_settings_are_known(window):
    limits = Limits(stream_window=window)
    client, server = Connection(Role.CLIENT), Connection(Role.SERVER, limits)
    stream = client.open_stream(REQUEST)
    client.send_message(stream, bytes(5000))
    server.receive(client.take_output(), 0.0)
    client.receive(server.take_output(), 0.0)
    assert stream.send_window == window - 5005
    got = server.streams[1]
    server.receive(client.take_output(), 0.0)  # the acknowledgement
    assert got.recv_window == stream.send_window
    server.acknowledge(got, 5000)
    exchange(client, server)
    assert got.recv_window == stream.send_window > 0


def test_data_may_overtake_the_acknowledgement_of_a_larger_window():
    wire = Wire(Role.SERVER, Limits(stream_window=1 << 20))
    wire.feed(PREFACE, settings(), headers(1, request()))
    events = wire.feed(*(data(1, message(bytes(16379))) for _ in range(20)), frame(SETTINGS, 1))
    assert len(of(events, Message)) == 20


def test_connection_credit_goes_back_on_receipt_and_stream_credit_on_acknowledge():
    wire, stream = serving(Limits(stream_window=1 << 18, connection_window=1 << 17))
    body = bytes(16379)
    got = []
    for _ in range(8):
        wire.feed(data(1, message(body)))
        got += credits(wire.output())
    assert {number for number, _ in got} == {0}
    assert sum(size for _, size in got) >= 1 << 16
    wire.engine.acknowledge(stream, len(body) * 8)
    assert credits(wire.output()) == [(1, 1 << 17)]


def test_credit_counts_prefixes_padding_and_compression():
    limits = Limits(stream_window=1 << 16, connection_window=1 << 16)
    client, server = pair(limits, limits)
    stream = client.open_stream((*REQUEST, (b"grpc-encoding", b"gzip")))
    stream.send_encoding = b"gzip"
    for round in range(3000):
        client.send_message(stream, b"a" * (round % 200), compressed=True)
        for event in of(exchange(client, server)[1], Message):
            server.acknowledge(event.stream, len(event.data))
    exchange(client, server)
    assert client.queued == 0
    assert stream.send_window > (1 << 16) * 3 // 4 - 1


def test_empty_messages_cost_window_too():
    limits = Limits(stream_window=1 << 16, connection_window=1 << 16)
    client, server = pair(limits, limits)
    stream = client.open_stream(REQUEST)
    count = 0
    for _ in range(30):
        for _ in range(1000):
            client.send_message(stream, b"")
        for event in of(exchange(client, server)[1], Message):
            count += 1
            server.acknowledge(event.stream, 0)
        exchange(client, server)
    assert (count, client.queued) == (30_000, 0)


def test_empty_messages_that_nobody_reads_hold_the_sender_in_whatever_pieces_they_come():
    wire = handshaken(Role.SERVER, Limits(stream_window=1 << 16))
    wire.feed(headers(1, request()))
    given = wire.engine.streams[1].recv_window
    two_halves = (data(1, bytes(5 * 100 + 2)), data(1, bytes(3)))  # a hundred messages and the beginning of another
    taken = messages = 0
    for _ in range(1000):
        events = wire.feed(*two_halves)
        taken, messages = taken + 505, messages + len(of(events, Message))
        given += sum(size for number, size in credits(wire.output()) if number == 1)
        if given < taken + 505:
            break
    assert messages <= (1 << 16) // 5 + 101
    for _ in range(messages):
        wire.engine.acknowledge(wire.engine.streams[1], 0)
    given += sum(size for number, size in credits(wire.output()) if number == 1)
    assert given - taken >= (1 << 16) * 3 // 4  # all of it comes back, but for what is not worth telling


@pytest.mark.parametrize("size", [100, 40_000])
def test_a_reader_that_acknowledges_nothing_holds_the_sender(size):
    limits = Limits(stream_window=1 << 17)
    client, server = pair(limits, limits)
    stream = client.open_stream(REQUEST)
    for _ in range((1 << 19) // size):
        client.send_message(stream, bytes(size))
    received = sum(len(event.data) + 5 for event in of(exchange(client, server)[1], Message))
    assert (1 << 17) - size - 5 <= received <= (1 << 17) + size + 5
    assert client.queued
    got = server.streams[stream.id]
    for _ in range((1 << 19) // size):
        server.acknowledge(got, size)
        exchange(client, server)
    assert client.queued == 0


def test_streams_whose_answer_is_over_still_give_the_connections_credit_back():
    limits = Limits(connection_window=1 << 16)
    wire = handshaken(Role.SERVER, limits)
    wire.feed(headers(1, request()))
    wire.engine.send_headers(wire.engine.streams[1], (*RESPONSE, *OK), end=True)
    wire.output()
    wire.feed(*(data(1, bytes(16000)) for _ in range(4)))
    assert sum(size for number, size in credits(wire.output()) if number == 0) >= 1 << 15
