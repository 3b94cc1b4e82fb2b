"""gRPC messages: any split of the bytes gives the same ones; limits and compression."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.wire import HalfClosed, Headers, Limits, Message, Messages, Reset, Role, Trailers
from tests.support.engines import OK, REQUEST, Wire, apart, credits, exchange, handshaken, of, pair, resets
from tests.support.h2peer import HEADERS, RESPONSE, block, data, headers, message, request
from tests.support.h2peer import OK as OK_BLOCK


def serving(*more: tuple[bytes, bytes], limits: Limits | None = None) -> Wire:
    """A server with stream 1 open."""
    wire = handshaken(Role.SERVER, limits)
    wire.feed(headers(1, request(b"/x", *more)))
    return wire


def messages(events: list) -> list[bytes]:
    return [event.data for event in of(events, Message)]


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.lists(st.integers(0, 30), max_size=20),
    st.lists(st.integers(1, 50)),
)
def test_any_frames_and_any_reads_give_the_same_messages(bodies, cuts, reads):
    body = b"".join(message(each) for each in bodies)
    sent, at = b"", 0
    for size in cuts:
        sent += data(1, body[at : at + size]) if body[at : at + size] else b""
        at += size
    sent += data(1, body[at:], end=True)
    wire = serving()
    events, at = [], 0
    for size in [*reads, len(sent)]:
        events += wire.feed(sent[at : at + size])
        at += size
    assert messages(events) == bodies
    assert len(of(events, HalfClosed)) == 1


def test_messages_one_after_the_other_are_one_event():
    client, server = pair()
    streams = [client.open_stream(REQUEST) for _ in range(3)]
    exchange(client, server)
    for turn in range(2):
        for stream in streams:
            client.send_message(stream, b"%d of %d" % (turn, stream.id))
    (told,) = server.receive(client.take_output(), 0.0)
    assert isinstance(told, Messages)
    sent = [(stream.id, b"%d of %d" % (turn, stream.id)) for turn in range(2) for stream in streams]
    assert [(stream.id, body) for stream, body in told.messages] == sent


def test_windows_open_at_the_same_moment_however_messages_are_read():
    limits = Limits(stream_window=1 << 20, connection_window=65_535)
    bodies = [bytes(size) for size in range(0, 16_000, 190)]
    sent = b"".join(data(1, message(body)) for body in bodies)
    said = []
    for step in (len(sent), 777):
        wire = serving(limits=limits)
        events = [event for at in range(0, len(sent), step) for event in wire.feed(sent[at : at + step])]
        assert messages(events) == bodies
        said.append(credits(wire.output()))
    assert len(said[0]) > 10
    assert said[0] == said[1]


def test_a_message_byte_by_byte():
    wire = serving()
    events = [event for byte in message(b"hello world") for event in wire.feed(data(1, bytes((byte,))))]
    assert messages(events) == [b"hello world"]


@pytest.mark.parametrize("piece", [1000, 16384])
def test_a_message_of_8_mib_through_windows_of_64_kib(piece):
    client, server = pair(
        Limits(stream_window=1 << 16, connection_window=1 << 16),
        Limits(stream_window=1 << 16, connection_window=1 << 16, max_receive_message=8 << 20),
    )
    body = bytes(range(256)) * (32 << 10)
    stream = client.open_stream(REQUEST)
    client.send_message(stream, body, end=True)
    events = []
    while client.has_output or server.has_output:
        output = client.take_output()
        for at in range(0, len(output), piece):
            events += apart(server.receive(output[at : at + piece], 0.0))
        client.receive(server.take_output(), 0.0)
    assert messages(events) == [body]
    assert client.queued == 0
    assert len(of(events, HalfClosed)) == 1


def test_a_message_over_the_limit_is_refused_before_it_comes():
    wire = serving(limits=Limits(max_receive_message=100))
    events = wire.feed(data(1, message(b"x" * 101)[:5]))
    assert [(event.status, event.reason) for event in of(events, Reset)] == [
        (8, "a message of 101 bytes is over the limit of 100")
    ]
    written = wire.output()
    assert [dict(each.fields)[b"grpc-status"] for each in written if each.kind == HEADERS] == [b"8"]
    assert resets(written) == [(1, 0)]


def test_the_limit_itself_is_allowed_in_one_frame_or_more():
    wire = serving(limits=Limits(max_receive_message=100))
    raw = message(b"x" * 100)
    assert messages(wire.feed(data(1, raw), data(1, raw[:7]), data(1, raw[7:]))) == [b"x" * 100] * 2
    assert of(wire.feed(data(1, message(b"x" * 101))), Reset)[0].status == 8


def test_a_client_may_set_the_limit_for_one_stream():
    wire = handshaken(Role.CLIENT)
    wire.open(max_message=10)
    wire.output()
    events = wire.feed(headers(1, RESPONSE), data(1, message(b"x" * 11)))
    assert [(event.status, event.by_peer) for event in of(events, Reset)] == [(8, False)]
    assert resets(wire.output()) == [(1, 8)]


def test_a_stream_that_ends_inside_a_message():
    wire = serving()
    events = wire.feed(data(1, message(b"hello")[:-1], end=True))
    assert of(events, Reset)[0].status == 13
    client = handshaken(Role.CLIENT)
    client.open()
    events = client.feed(headers(1, RESPONSE), data(1, b"\0\0"), headers(1, OK_BLOCK, end=True))
    assert of(events, Reset)[0].status == 13
    assert not of(events, Trailers)


# -- compression

TEXT = b"the same words again and again, " * 50


@pytest.mark.parametrize("encoding, pack", [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
@pytest.mark.parametrize("size", [3, 16384])
def test_compressed_messages_are_inflated(encoding, pack, size):
    wire = serving((b"grpc-encoding", encoding))
    raw = message(pack(TEXT), compressed=True) + message(b"plain") + message(pack(b""), compressed=True)
    events = []
    for at in range(0, len(raw), size):
        events += wire.feed(data(1, raw[at : at + size]))
    assert messages(events) == [TEXT, b"plain", b""]


BAD = {
    "flag without encoding": ((), message(b"x", compressed=True)),
    "unknown encoding": (((b"grpc-encoding", b"br"),), message(b"x", compressed=True)),
    "flag of 2": ((), b"\x02\0\0\0\x01x"),
    "not gzip": (((b"grpc-encoding", b"gzip"),), message(b"hello world", compressed=True)),
    "half of gzip": (((b"grpc-encoding", b"gzip"),), message(gzip.compress(TEXT)[:-9], compressed=True)),
    "nothing": (((b"grpc-encoding", b"gzip"),), message(b"", compressed=True)),
    "more than gzip": (((b"grpc-encoding", b"gzip"),), message(gzip.compress(TEXT) + b"junk", compressed=True)),
    "more than deflate": (((b"grpc-encoding", b"deflate"),), message(zlib.compress(TEXT) + b"junk", compressed=True)),
}


@pytest.mark.parametrize("more, raw", BAD.values(), ids=BAD)
def test_messages_that_are_not_what_they_say(more, raw):
    events = serving(*more).feed(data(1, raw))
    assert [event.status for event in of(events, Reset)] == [13]
    assert not messages(events)


def test_gzip_may_come_in_members():
    wire = serving((b"grpc-encoding", b"gzip"), limits=Limits(max_receive_message=len(TEXT) + 2))
    raw = gzip.compress(b"ab") + gzip.compress(TEXT)
    assert messages(wire.feed(data(1, message(raw, compressed=True)))) == [b"ab" + TEXT]
    events = wire.feed(data(1, message(raw + gzip.compress(b"c"), compressed=True)))
    assert [event.status for event in of(events, Reset)] == [8]


def test_gzip_members_are_counted():
    many = gzip.compress(b"a") + gzip.compress(b"") * 100
    events = serving((b"grpc-encoding", b"gzip")).feed(data(1, message(many, compressed=True)))
    assert [event.status for event in of(events, Reset)] == [13]


def test_a_gzip_bomb_is_not_inflated_over_the_limit():
    wire = serving((b"grpc-encoding", b"gzip"), limits=Limits(max_receive_message=1 << 20))
    bomb = gzip.compress(bytes(16 << 20))
    assert len(bomb) < 1 << 16
    events = []
    raw = message(bomb, compressed=True)
    for at in range(0, len(raw), 16384):
        events += wire.feed(data(1, raw[at : at + 16384]))
    assert [event.status for event in of(events, Reset)] == [8]


def test_exactly_the_limit_may_be_inflated():
    wire = serving((b"grpc-encoding", b"gzip"), limits=Limits(max_receive_message=1000))
    assert messages(wire.feed(data(1, message(gzip.compress(bytes(1000)), compressed=True)))) == [bytes(1000)]
    assert of(wire.feed(data(1, message(gzip.compress(bytes(1001)), compressed=True))), Reset)[0].status == 8


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"identity"])
@pytest.mark.parametrize("text", [TEXT, b"tiny", bytes(range(256))], ids=["text", "tiny", "dense"])
def test_what_we_compress_we_inflate(encoding, text):
    client, server = pair()
    stream = client.open_stream((*REQUEST, (b"grpc-encoding", encoding)))
    stream.send_encoding = encoding
    client.send_message(stream, text, end=True, compressed=True)
    shrunk = text is TEXT and encoding != b"identity"
    assert (client.output_size < len(TEXT)) == (shrunk or text is not TEXT)
    assert messages(exchange(client, server)[1]) == [text]


def test_a_body_that_is_not_grpc_is_not_taken_apart():
    wire = handshaken(Role.CLIENT)
    stream = wire.open()
    page = block([(b":status", b"503"), (b"content-type", b"text/html")])
    events = wire.feed(headers(1, page), data(1, b"<html>\xff\xff\xff\xff\xff"), headers(1, OK_BLOCK, end=True))
    assert [type(event) for event in events] == [Headers, Trailers]
    assert stream.closed


def test_answers_in_one_piece():
    client, server = pair()
    stream = client.open_stream(REQUEST, end=True)
    got = of(exchange(client, server)[1], Headers)[0].stream
    server.send_data(got, b"not grpc", end=True)
    server.send_headers(got, OK, end=True)  # too late: nothing
    assert server.output_size == 9 + 8
    exchange(client, server)
    assert stream.id not in server.streams
