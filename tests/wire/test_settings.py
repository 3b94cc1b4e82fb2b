"""SETTINGS both ways, GOAWAY both ways, limits on streams, time."""

from math import inf

import pytest

from meshkit.wire import (
    Connection,
    ErrorCode,
    GoAway,
    HalfClosed,
    Headers,
    Limits,
    Message,
    Reset,
    Role,
    SettingsChanged,
    StreamsExhausted,
    Terminated,
)
from tests.support.engines import OK, REQUEST, RESPONSE, Wire, exchange, frames, handshaken, of, pair, resets
from tests.support.h2peer import GOAWAY, HEADERS, PREFACE, SETTINGS, data, frame, goaway, headers, message, request
from tests.support.h2peer import settings as settings_frame

MAX_STREAMS, TABLE_SIZE = 3, 1
GRACEFUL = 2**31 - 1


def test_settings_are_acknowledged_and_told():
    wire = handshaken(Role.CLIENT)
    assert wire.feed(settings_frame((MAX_STREAMS, 7))) == [SettingsChanged()]
    assert [(each.kind, each.flags) for each in wire.output()] == [(SETTINGS, 1)]
    assert wire.engine.peer_max_streams == 7


def test_what_we_say_of_ourselves():
    limits = Limits(max_concurrent_streams=5, stream_window=70_000, max_header_list_size=1000, header_table_size=0)
    for role, more in ((Role.SERVER, {3: 5}), (Role.CLIENT, {2: 0})):
        raw = frames(Connection(role, limits).take_output())[0].payload
        said = {
            int.from_bytes(raw[at : at + 2], "big"): int.from_bytes(raw[at + 2 : at + 6], "big")
            for at in range(0, len(raw), 6)
        }
        assert said == {1: 0, 4: 70_000, 6: 1000, **more}


def test_no_more_streams_than_the_peer_takes():
    wire = handshaken(Role.CLIENT, None, (MAX_STREAMS, 2))
    first, _ = wire.open(), wire.open()
    assert not wire.engine.can_open
    with pytest.raises(StreamsExhausted):
        wire.open()
    wire.engine.reset(first, ErrorCode.CANCEL)
    assert wire.open().id == 5
    wire.feed(settings_frame((MAX_STREAMS, 3)))
    assert wire.engine.can_open


def test_streams_over_our_limit_are_refused():
    wire = handshaken(Role.SERVER, Limits(max_concurrent_streams=1))
    events = wire.feed(headers(1, request()), headers(3, request()), data(3, message(b"x")))
    assert [event.stream.id for event in of(events, Headers)] == [1]
    assert resets(wire.output()) == [(3, ErrorCode.REFUSED_STREAM)]
    assert not of(events, Message)


def test_a_smaller_table_of_the_peer_is_acknowledged():
    wire = handshaken(Role.CLIENT, None, (TABLE_SIZE, 0))
    wire.decoder.max_allowed_table_size = wire.decoder.header_table_size = 0
    wire.open(end=True)
    sent = wire.output()
    assert sent[0].payload[:1] == b"\x20"
    assert sent[0].fields == list(REQUEST)
    wire.open(end=True)
    assert wire.output()[0].payload[:1] != b"\x20"


def test_identifiers_run_out():
    wire = handshaken(Role.CLIENT)
    wire.engine._next_id = GRACEFUL
    assert wire.open().id == GRACEFUL
    assert not wire.engine.can_open


# -- GOAWAY


def test_a_goaway_ends_what_the_peer_will_not_serve():
    wire = handshaken(Role.CLIENT)
    wire.open()
    late = wire.open()
    events = wire.feed(goaway(1))
    assert [(event.stream, event.code, event.unprocessed) for event in of(events, Reset)] == [(late, 7, True)]
    assert events[-1] == GoAway(1, ErrorCode.NO_ERROR, b"")
    assert list(wire.engine.streams) == [1]
    assert not wire.engine.can_open
    events = wire.feed(headers(1, b"\x88"), data(1, b"", end=True))
    assert of(events, Headers)


def test_a_graceful_goaway_lets_streams_run_and_opens_none():
    wire = handshaken(Role.CLIENT)
    wire.open()
    assert wire.feed(goaway(GRACEFUL)) == [GoAway(GRACEFUL, ErrorCode.NO_ERROR, b"")]
    assert list(wire.engine.streams) == [1]
    assert not wire.engine.can_open
    assert of(wire.feed(goaway(1)), Reset) == []


def test_our_graceful_goaway_still_takes_streams_and_the_second_does_not():
    wire = handshaken(Role.SERVER)
    wire.engine.go_away(last_id=GRACEFUL)
    assert of(wire.feed(headers(1, request())), Headers)
    wire.engine.go_away()
    last = wire.output()[-1]
    assert (last.kind, int.from_bytes(last.payload[:4], "big")) == (GOAWAY, 1)
    events = wire.feed(headers(3, request()), data(3, message(b"x"), end=True), headers(5, request(), end=True))
    assert events == []
    assert wire.output() == []
    assert of(wire.feed(data(1, message(b"still served"))), Message)


def test_nothing_is_lost_between_two_engines_that_part():
    client, server = pair()
    streams = [client.open_stream(REQUEST, end=True) for _ in range(3)]
    at_server = server.receive(client.take_output(), 0.0)
    server.go_away()
    late = client.open_stream(REQUEST, end=True)
    at_client, more = exchange(client, server)
    assert not of(more, Headers)
    assert [(event.stream, event.unprocessed) for event in of(at_client, Reset)] == [(late, True)]
    for event in of(at_server, Headers):
        server.send_headers(event.stream, (*RESPONSE, *OK), end=True)
    assert [event.stream for event in of(exchange(client, server)[0], Headers)] == streams
    assert client.streams == server.streams == {}


# -- time


def test_slow_prefaces_lose_the_connection():
    engine = Connection(Role.SERVER, Limits(preface_timeout=5), now=100.0)
    assert engine.next_deadline == 105
    engine.receive(PREFACE[:10], 101.0)
    assert engine.tick(104.9) == []
    assert [event.code for event in of(engine.tick(105.0), Terminated)] == [ErrorCode.PROTOCOL_ERROR]
    assert engine.next_deadline == inf


def test_settings_that_are_not_acknowledged():
    wire = Wire(Role.SERVER, Limits(settings_timeout=30))
    wire.feed(PREFACE, settings_frame())
    assert wire.engine.next_deadline == 30
    assert [event.code for event in of(wire.engine.tick(30.0), Terminated)] == [ErrorCode.SETTINGS_TIMEOUT]


def test_slow_headers():
    wire = handshaken(Role.SERVER, Limits(header_timeout=10))
    assert wire.engine.next_deadline == inf
    wire.feed(headers(1, request()), now=1.0)
    wire.feed(frame(HEADERS, 0, 3, request()[:5]), now=5.0)
    assert wire.engine.next_deadline == 15
    events = wire.engine.tick(15.0)
    assert len(of(events, Terminated)) == len(of(events, Reset)) == 1
    quick = handshaken(Role.SERVER)
    quick.feed(frame(HEADERS, 0, 1, request()[:5]), frame(9, 4, 1, request()[5:]))
    assert quick.engine.next_deadline == inf


def test_headers_that_stay_half_a_frame_are_slow_too():
    wire = handshaken(Role.SERVER, Limits(header_timeout=10))
    part = headers(1, request())
    wire.feed(part[:20], now=1.0)
    wire.feed(part[20:30], now=9.0)
    assert wire.engine.next_deadline == 11
    wire.feed(part[30:], now=10.0)
    assert wire.engine.next_deadline == inf
    assert of(wire.engine.tick(500.0), Terminated) == []


def test_a_busy_connection_is_not_slow_because_its_reads_end_inside_of_headers():
    wire = handshaken(Role.SERVER, Limits(header_timeout=10))
    rest = b""
    for number in range(50):
        call = headers(2 * number + 1, request(), end=True)
        wire.feed(rest, call[:20], now=float(number))
        assert wire.engine.next_deadline == number + 10
        assert wire.engine.tick(float(number)) == []
        rest = call[20:]
    assert len(wire.engine.streams) == 49


# -- who calls at the wrong time


def test_what_is_sent_too_late_is_nothing():
    client, _ = pair()
    stream = client.open_stream(REQUEST, end=True)
    client.take_output()
    client.send_message(stream, b"x")
    client.send_headers(stream, OK, end=True)
    client.end(stream)
    client.send_data(stream, b"x")
    assert not client.has_output
    client.reset(stream, ErrorCode.CANCEL)
    client.take_output()
    client.reset(stream, ErrorCode.CANCEL)
    client.acknowledge(stream, 10)
    client.send_message(stream, b"x", end=True)
    assert not client.has_output
    assert stream.closed


def test_a_server_that_answers_early_asks_the_client_to_stop():
    client, server = pair()
    stream = client.open_stream(REQUEST)
    got = of(exchange(client, server)[1], Headers)[0].stream
    server.send_headers(got, (*RESPONSE, *OK), end=True)
    written = frames(server.take_output())
    assert resets(written) == [(1, ErrorCode.NO_ERROR)]
    assert server.streams == {}
    assert stream.id == 1


@pytest.mark.parametrize("how", ["message", "data", "no data"])
def test_a_server_may_end_without_trailers(how):
    client, server = pair()
    client.open_stream(REQUEST, end=True)
    got = of(exchange(client, server)[1], Headers)[0].stream
    server.send_headers(got, RESPONSE)
    if how == "message":
        server.send_message(got, b"x", end=True)
    else:
        server.send_data(got, message(b"x") if how == "data" else b"", end=True)
    events = exchange(client, server)[0]
    assert len(of(events, HalfClosed)) == 1
    assert len(of(events, Message)) == (how != "no data")
    assert client.streams == server.streams == {}


def test_statistics_say_what_there_is():
    client, _ = pair()
    client.open_stream(REQUEST)
    found = client.statistics()
    assert (found.role, found.streams, found.queued, found.termination) == ("client", 1, 0, "")
    assert found.output == client.output_size > 0
    assert "streams=1" in repr(client)
