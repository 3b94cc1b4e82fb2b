"""Each rule of RFC 9113 about frames: what breaks it, and the code on the stream or the connection that says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.wire import ErrorCode, GoAway, Headers, Limits, Message, PingReceived, Pong, Reset, Role, Terminated
from meshkit.wire.faults import ConnectionFault
from meshkit.wire.hpack import Decoder
from tests.support.engines import REQUEST, Wire, frames, handshaken, of, resets
from tests.support.h2peer import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RESPONSE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    goaway,
    headers,
    message,
    request,
    reset,
    settings,
    window_update,
)

OPEN = headers(1, request())
ENDED = headers(1, request(), end=True)
PADDED, WITH_PRIORITY, END_HEADERS, END_STREAM = 0x8, 0x20, 0x4, 0x1
PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION, REFUSED = 1, 3, 5, 6, 9, 7

# What a client may not do: (frames after the handshake, code of the GOAWAY)
CONNECTION_FAULTS = {
    "4.2 a frame over SETTINGS_MAX_FRAME_SIZE": (OPEN + data(1, bytes(16385)), SIZE),
    "4.3 a block that cannot be decoded": (headers(1, b"\x80"), COMPRESSION),
    "5.1 DATA on an idle stream": (data(1, b""), PROTOCOL),
    "5.1 WINDOW_UPDATE on an idle stream": (window_update(1, 1), PROTOCOL),
    "5.1 RST_STREAM on an idle stream": (reset(1), PROTOCOL),
    "5.1.1 a stream of even number": (headers(2, request()), PROTOCOL),
    "5.1.1 a stream number that is lower than before": (headers(5, request()) + headers(3, request()), CLOSED),
    "6.1 DATA on stream 0": (data(0, b"x"), PROTOCOL),
    "6.1 padding as long as the frame": (OPEN + frame(DATA, PADDED, 1, b"\x05abcd"), PROTOCOL),
    "6.1 padding without a length": (OPEN + frame(DATA, PADDED, 1, b""), SIZE),
    "6.2 HEADERS on stream 0": (headers(0, request()), PROTOCOL),
    "6.2 padding of HEADERS over its length": (frame(HEADERS, PADDED | END_HEADERS, 1, b"\xff" + request()), PROTOCOL),
    "6.2 HEADERS shorter than its priority": (frame(HEADERS, WITH_PRIORITY | END_HEADERS, 1, b"\0\0\0"), SIZE),
    "6.3 PRIORITY on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "6.4 RST_STREAM on stream 0": (reset(0), PROTOCOL),
    "6.4 RST_STREAM of 3 bytes": (OPEN + frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    "6.5 SETTINGS on a stream": (frame(SETTINGS, 0, 1), PROTOCOL),
    "6.5 SETTINGS of 5 bytes": (frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    "6.5 SETTINGS ACK with a payload": (frame(SETTINGS, 1, 0, bytes(6)), SIZE),
    "6.5.2 ENABLE_PUSH of 2": (settings((2, 2)), PROTOCOL),
    "6.5.2 INITIAL_WINDOW_SIZE over 2^31-1": (settings((4, 2**31)), FLOW),
    "6.5.2 MAX_FRAME_SIZE too small": (settings((5, 16383)), PROTOCOL),
    "6.5.2 MAX_FRAME_SIZE too large": (settings((5, 2**24)), PROTOCOL),
    "6.6 PUSH_PROMISE by a client": (OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + request()), PROTOCOL),
    "6.7 PING on a stream": (frame(PING, 0, 1, bytes(8)), PROTOCOL),
    "6.7 PING of 7 bytes": (frame(PING, 0, 0, bytes(7)), SIZE),
    "6.8 GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "6.8 GOAWAY of 7 bytes": (frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    "6.8 GOAWAY that raises its last stream": (goaway(0) + goaway(2), PROTOCOL),
    "6.9 WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    "6.9 WINDOW_UPDATE of 0 on the connection": (window_update(0, 0), PROTOCOL),
    "6.9.1 the connection's window over 2^31-1": (window_update(0, 2**31 - 1), FLOW),
    "6.9.2 a stream's window over 2^31-1 by SETTINGS": (
        OPEN + window_update(1, 65536) + settings((4, 2**31 - 1)),
        FLOW,
    ),
    "6.10 CONTINUATION without HEADERS": (frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL),
    "6.10 CONTINUATION after END_HEADERS": (OPEN + frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL),
    "6.10 CONTINUATION of another stream": (
        frame(HEADERS, 0, 1, request()) + frame(CONTINUATION, END_HEADERS, 3, b""),
        PROTOCOL,
    ),
    "6.10 DATA inside a header block": (frame(HEADERS, 0, 1, request()) + data(1, b"x"), PROTOCOL),
    "5.5 an unknown frame inside a header block": (frame(HEADERS, 0, 1, request()) + frame(0x16), PROTOCOL),
}
# (frames after the handshake, code of the RST_STREAM on stream 1)
STREAM_FAULTS = {
    "5.1 DATA after END_STREAM": (ENDED + data(1, b"x"), CLOSED),
    "5.1 HEADERS after END_STREAM": (ENDED + headers(1, request(), end=True), CLOSED),
    "5.1 DATA after RST_STREAM": (OPEN + reset(1) + data(1, b"x"), CLOSED),
    "5.1 HEADERS after RST_STREAM": (OPEN + reset(1) + headers(1, request()), CLOSED),
    "5.3.1 HEADERS that depend on themselves": (
        frame(HEADERS, WITH_PRIORITY | END_HEADERS, 1, b"\0\0\0\x01\x10" + request()),
        PROTOCOL,
    ),
    "5.3.1 PRIORITY that depends on itself": (OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\x01\x10"), PROTOCOL),
    "6.3 PRIORITY of 4 bytes": (OPEN + frame(PRIORITY, 0, 1, bytes(4)), SIZE),
    "6.9 WINDOW_UPDATE of 0": (OPEN + window_update(1, 0), PROTOCOL),
    "6.9.1 a stream's window over 2^31-1": (OPEN + window_update(1, 2**31 - 1), FLOW),
    "8.1 a second block that does not end the stream": (OPEN + headers(1, block([(b"a", b"b")])), PROTOCOL),
    "8.1 trailers with a pseudo-header": (OPEN + headers(1, block([(b":path", b"/")]), end=True), PROTOCOL),
    "8.1.1 DATA longer than content-length": (
        headers(1, request(b"/", (b"content-length", b"2"))) + data(1, b"abc"),
        PROTOCOL,
    ),
    "8.1.1 DATA shorter than content-length": (
        headers(1, request(b"/", (b"content-length", b"9"))) + data(1, message(b""), end=True),
        PROTOCOL,
    ),
    "8.1.1 no DATA for a content-length": (headers(1, request(b"/", (b"content-length", b"9")), end=True), PROTOCOL),
    "8.1.1 trailers before all DATA": (
        headers(1, request(b"/", (b"content-length", b"9"))) + headers(1, block([(b"a", b"b")]), end=True),
        PROTOCOL,
    ),
}


@pytest.mark.parametrize("sent, code", CONNECTION_FAULTS.values(), ids=CONNECTION_FAULTS)
@pytest.mark.parametrize("step", [0, 1], ids=["at once", "byte by byte"])
def test_faults_of_the_connection(sent, code, step):
    wire = handshaken(Role.SERVER)
    events = [event for at in range(len(sent)) for event in wire.feed(sent[at : at + 1])] if step else wire.feed(sent)
    assert [event.code for event in of(events, Terminated)] == [code]
    last = wire.output()[-1]
    assert (last.kind, int.from_bytes(last.payload[4:8], "big")) == (GOAWAY, code)
    assert wire.engine.termination
    assert not wire.engine.streams
    assert wire.feed(OPEN, frame(PING, 0, 0, bytes(8))) == []
    assert not wire.engine.has_output


@pytest.mark.parametrize("sent, code", STREAM_FAULTS.values(), ids=STREAM_FAULTS)
def test_faults_of_a_stream_leave_the_others_alone(sent, code):
    wire = handshaken(Role.SERVER)
    events = wire.feed(sent, headers(3, request()), data(3, message(b"fine"), end=True))
    assert not of(events, Terminated)
    assert (1, code) in resets(wire.output())
    assert [(event.stream.id, event.data) for event in of(events, Message)] == [(3, b"fine")]
    assert list(wire.engine.streams) == [3]


CLIENT_CONNECTION_FAULTS = {
    "5.1.1 a stream that the client did not open": (headers(3, RESPONSE), PROTOCOL),
    "5.1.1 an even stream": (headers(2, RESPONSE), PROTOCOL),
    "6.5.2 ENABLE_PUSH by a server": (settings((2, 1)), PROTOCOL),
    "8.4 PUSH_PROMISE, which was not allowed": (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + request()), PROTOCOL),
    "6.8 GOAWAY of an even stream": (goaway(2), PROTOCOL),
    "6.8 GOAWAY that raises its last stream": (goaway(1) + goaway(3), PROTOCOL),
}


@pytest.mark.parametrize("sent, code", CLIENT_CONNECTION_FAULTS.values(), ids=CLIENT_CONNECTION_FAULTS)
def test_faults_of_the_connection_at_a_client(sent, code):
    wire = handshaken(Role.CLIENT)
    wire.open()
    assert [event.code for event in of(wire.feed(sent), Terminated)] == [code]


CLIENT_STREAM_FAULTS = {
    "8.1 DATA before HEADERS": data(1, message(b"x")),
    "8.1 an interim response that ends the stream": headers(1, block([(b":status", b"103")]), end=True),
    "8.3.2 no :status": headers(1, block([(b"a", b"b")])),
    "8.3.2 two :status": headers(1, block([(b":status", b"200"), (b":status", b"200")])),
    "8.3.2 a request's pseudo-header": headers(1, block([(b":status", b"200"), (b":path", b"/")])),
    "8.3.2 a :status that is no number": headers(1, block([(b":status", b"ok!")])),
    "8.1 a second block that does not end the stream": headers(1, RESPONSE) + headers(1, block([(b"a", b"b")])),
}


@pytest.mark.parametrize("sent", CLIENT_STREAM_FAULTS.values(), ids=CLIENT_STREAM_FAULTS)
def test_faults_of_a_stream_at_a_client(sent):
    wire = handshaken(Role.CLIENT)
    stream = wire.open()
    wire.output()
    events = wire.feed(sent)
    assert [(event.stream, event.code, event.by_peer) for event in of(events, Reset)] == [(stream, PROTOCOL, False)]
    assert resets(wire.output()) == [(1, PROTOCOL)]
    assert not of(events, Message)
    assert not wire.engine.streams


def test_interim_responses_are_passed_over():
    wire = handshaken(Role.CLIENT)
    wire.open()
    events = wire.feed(headers(1, block([(b":status", b"103"), (b"link", b"x")])), headers(1, RESPONSE))
    assert [event.fields[0] for event in of(events, Headers)] == [(b":status", b"200")]


def test_padding_and_priority_are_taken_off():
    wire = handshaken(Role.SERVER)
    events = wire.feed(
        frame(HEADERS, PADDED | WITH_PRIORITY | END_HEADERS, 1, b"\x03" + b"\0\0\0\0\x10" + request() + b"abc"),
        frame(DATA, PADDED, 1, b"\x02" + message(b"hello") + b"zz"),
    )
    assert [event.data for event in of(events, Message)] == [b"hello"]


def test_a_block_in_continuations():
    raw = request()
    wire = handshaken(Role.SERVER)
    events = wire.feed(
        frame(HEADERS, END_STREAM, 1, raw[:10]),
        frame(CONTINUATION, 0, 1, raw[10:20]),
        frame(CONTINUATION, END_HEADERS, 1, raw[20:]),
    )
    assert [(event.fields, event.end) for event in of(events, Headers)] == [(REQUEST, True)]


def test_a_long_block_is_sent_in_continuations():
    client, server = handshaken(Role.CLIENT), handshaken(Role.SERVER)
    fields = (*REQUEST, *((b"k%d" % number, b"v" * 800) for number in range(18)), (b"z", b"z" * 1000))
    client.engine.open_stream(fields, end=True)
    sent = client.engine.take_output()
    assert [each.kind for each in frames(sent)] == [HEADERS]
    big = (*fields, (b"y", b"y" * 20_000))
    client.engine.open_stream(big, end=True)
    sent = client.engine.take_output()
    assert [(each.kind, each.flags) for each in frames(sent)] == [
        (HEADERS, END_STREAM),
        (CONTINUATION, 0),
        (CONTINUATION, END_HEADERS),
    ]
    server = handshaken(Role.SERVER, None)
    events = server.feed(sent.replace(b"\0\0\0\x03", b"\0\0\0\x01"))
    assert [event.status for event in of(events, Reset)] == [8]  # 16 KiB are allowed


def test_unknown_frames_flags_and_settings_are_ignored():
    wire = handshaken(Role.SERVER)
    events = wire.feed(
        frame(0x16, 0xFF, 1, b"whatever"),
        settings((0xFFFF, 1), (3, 10)),
        frame(HEADERS, END_HEADERS | 0xC2, 1, request()),
        frame(DATA, 0xF6, 1, message(b"x")),
        frame(PING, 0xF0, 0, b"12345678"),
    )
    assert not of(events, Terminated)
    assert len(of(events, Message)) == len(of(events, PingReceived)) == 1


def test_pings_are_answered_and_answers_told():
    wire = handshaken(Role.CLIENT)
    assert [(each.flags, each.payload) for each in wire.answer(frame(PING, 0, 0, b"abcdefgh"))] == [(1, b"abcdefgh")]
    wire.engine.ping(b"12345678")
    assert [(each.kind, each.flags, each.payload) for each in wire.output()] == [(PING, 0, b"12345678")]
    assert wire.feed(frame(PING, 1, 0, b"12345678")) == [Pong(b"12345678")]


def test_frames_after_our_own_reset_are_passed_over():
    wire = handshaken(Role.SERVER)
    wire.feed(OPEN)
    wire.engine.reset(wire.engine.streams[1], ErrorCode.CANCEL)
    wire.output()
    late = (data(1, message(b"late")), window_update(1, 5), headers(1, block([(b"a", b"b")]), end=True))
    assert wire.feed(*late, reset(1)) == []
    assert wire.output() == []
    assert resets(wire.answer(data(1, b"x"))) == [(1, CLOSED)]  # the peer sends after a reset of its own


def test_a_block_that_does_not_end_a_stream_that_we_reset():
    wire = handshaken(Role.SERVER)
    wire.feed(OPEN)
    wire.engine.reset(wire.engine.streams[1], ErrorCode.CANCEL)
    wire.output()
    assert resets(wire.answer(headers(1, block([(b"a", b"b")])))) == [(1, PROTOCOL)]


@pytest.mark.parametrize("late", [reset(1), window_update(1, 5), frame(PRIORITY, 0, 1, bytes(5))])
def test_a_closed_stream_may_still_be_named(late):
    wire = handshaken(Role.SERVER)
    wire.feed(ENDED)
    wire.engine.send_headers(wire.engine.streams[1], ((b":status", b"200"),), end=True)
    assert wire.feed(late) == []
    assert not wire.engine.streams


def test_frames_on_a_stream_that_both_ended_are_a_fault_of_the_connection():
    wire = handshaken(Role.SERVER)
    wire.feed(ENDED)
    wire.engine.send_headers(wire.engine.streams[1], ((b":status", b"200"),), end=True)
    assert [event.code for event in of(wire.feed(data(1, b"x")), Terminated)] == [ErrorCode.STREAM_CLOSED]


# -- the beginning of a connection (3.4)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        PREFACE[:-1] + b"x",
        PREFACE + frame(PING, 0, 0, bytes(8)),
        PREFACE + OPEN,
        PREFACE + frame(SETTINGS, 1),
    ],
)
def test_connections_that_do_not_begin_as_they_must(sent):
    wire = Wire(Role.SERVER)
    assert [event.code for event in of(wire.feed(sent), Terminated)] == [ErrorCode.PROTOCOL_ERROR]


def test_both_roles_greet_first():
    assert Wire(Role.CLIENT).engine.take_output().startswith(PREFACE)
    assert Wire(Role.SERVER).output()[0].kind == SETTINGS


def test_goaway_is_told_with_its_words():
    events = handshaken(Role.CLIENT).feed(goaway(0, 11, b"too_many_pings"))
    assert events == [GoAway(0, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")]


@pytest.mark.parametrize("raw, code, status", [(8, 8, 1), (7, 7, 14), (11, 11, 8), (99, 99, 2)])
def test_resets_by_the_peer_keep_their_code(raw, code, status):
    wire = handshaken(Role.CLIENT)
    stream = wire.open()
    event = wire.feed(reset(1, raw))[0]
    assert isinstance(event, Reset)
    assert (event.stream, event.code, event.by_peer, event.unprocessed) == (stream, code, True, raw == 7)
    assert wire.engine.streams == {}


_REQUEST = b"\x83\x86\x04\x01/"  # POST, http, /
_READ, _ADD_A, _ADD_B, _READ_OLDER = b"\xbe", b"\x40\x01a\x01x", b"\x40\x01b\x01y", b"\xbf"
_SHRINK, _GROW = b"\x20", b"\x3f\x11"  # table size updates, to 0 and to 48: room for one entry


def test_a_remembered_block_means_what_the_table_says_now():
    wire = handshaken(Role.SERVER)

    def asked(number: int, fields: bytes) -> tuple[bytes, bytes]:
        (event,) = of(wire.feed(frame(HEADERS, END_HEADERS | END_STREAM, number, _REQUEST + fields)), Headers)
        return event.fields[3]

    asked(1, _ADD_A)
    assert [asked(number, _READ) for number in (3, 5, 7)] == [(b"a", b"x")] * 3
    asked(9, _ADD_B)
    assert [asked(number, _READ) for number in (11, 13, 15)] == [(b"b", b"y")] * 3
    assert asked(17, _READ_OLDER) == (b"a", b"x")


@given(st.lists(st.sampled_from([_READ, _READ, _READ_OLDER, _ADD_A, _ADD_B, _SHRINK, _GROW]), max_size=60))
def test_blocks_mean_the_same_remembered_or_not(parts):
    """A decoder that remembers nothing is the model; blocks that add, resize and read come in any order."""
    wire, model = handshaken(Role.SERVER), Decoder(Limits().header_table_size, Limits().max_header_list_size)
    for turn, part in enumerate([_ADD_A, _ADD_B, *parts]):
        raw = part + _REQUEST if part in (_SHRINK, _GROW) else _REQUEST + part
        events = wire.feed(frame(HEADERS, END_HEADERS | END_STREAM, 2 * turn + 1, raw))
        try:
            fields, _ = model.decode(raw)
        except ConnectionFault:
            assert of(events, Terminated)
            return
        (event,) = of(events, Headers)
        assert event.fields == fields
