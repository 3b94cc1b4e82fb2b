"""Unary calls written and read in one step: the same bytes, events and counters as frame by frame."""

from dataclasses import fields

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.wire import Connection, ErrorCode, Limits, PingReceived, Role, UnaryRequests, UnaryResponses
from tests.support.engines import OK, REQUEST, RESPONSE, apart, exchange, pair
from tests.support.h2peer import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, frame, settings

SMALL = Limits(stream_window=65_535, connection_window=65_535, max_receive_message=100, max_concurrent_streams=2)
SIZES = (0, 1, 20, 100, 101, 16_379, 16_380, 65_530, 70_000)
OUR_STATE = ("queued", "output_size", "data_sent", "_send_window", "_recv_window", "_useful", "highest_id", "_next_id")


def warm(limits: Limits | None = None) -> tuple[Connection, Connection]:
    """Two engines that have seen two calls alike, and so remember their header blocks."""
    client, server = pair(limits, limits)
    ask(client, server, False, b"")
    ask(client, server, False, b"")
    return client, server


def ask(client: Connection, server: Connection, whole: bool, message: bytes) -> None:
    write_request(client, whole, message)
    exchange(client, server)
    for stream in list(server.streams.values()):
        write_reply(server, stream, whole, message)
    exchange(client, server)


def write_request(client: Connection, whole: bool, message: bytes):
    if whole:
        return client.open_unary(REQUEST, message)
    stream = client.open_stream(REQUEST)
    client.send_message(stream, message, end=True)
    return stream


def write_reply(server: Connection, stream, whole: bool, message: bytes) -> None:
    if whole:
        server.send_unary(stream, RESPONSE, message, OK)
    else:
        server.send_headers(stream, RESPONSE)
        server.send_message(stream, message)
        server.send_headers(stream, OK, end=True)


def state(engine: Connection):
    streams = {stream.id: (stream.state, stream.send_window, stream.queued) for stream in engine.streams.values()}
    return [getattr(engine, name) for name in OUR_STATE], streams, engine.termination


def told(events):
    """Events without the identity of their streams."""
    return [(type(event), event.stream.id, *values(event)) for event in events if hasattr(event, "stream")]


def values(event):
    """What an event says but for its stream, as it is: ``astuple`` copies, which compiled classes do not take."""
    return [getattr(event, field.name) for field in fields(event) if field.name != "stream"]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_the_same(size: int):
    one, other = warm(), warm()
    for (client, server), whole in ((one, True), (other, False)):
        write_request(client, whole, b"x" * size)
        server.receive(client.take_output(), 0.0)
        assert client.streams.keys() == server.streams.keys() or size > 16_379
    assert state(one[0]) == state(other[0])
    for (_, server), whole in ((one, True), (other, False)):
        for stream in list(server.streams.values()):
            if stream.state & 2:
                write_reply(server, stream, whole, b"y" * size)
    assert one[1].take_output() == other[1].take_output()
    assert state(one[1]) == state(other[1])


@pytest.mark.parametrize("limits", [None, SMALL], ids=["default", "small"])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_read_is_the_same_in_one_piece_and_byte_by_byte(size: int, limits: Limits | None):
    one, other = warm(limits), warm(limits)
    outputs = []
    for client, _ in (one, other):
        for _ in range(3):  # the third is over the small limit of streams
            if client.can_open:
                write_request(client, True, b"x" * size)
        outputs.append(client.take_output())
    assert outputs[0] == outputs[1]
    compare(one[1], other[1], outputs[0])
    replies = []
    for _, server in (one, other):
        server.take_output()
        for stream in list(server.streams.values()):
            write_reply(server, stream, True, b"y" * size)
        replies.append(server.take_output())
    assert replies[0] == replies[1]
    compare(one[0], other[0], replies[0])


def compare(whole: Connection, pieces: Connection, data: bytes) -> None:
    at_once = told(apart(whole.receive(data, 0.0)))
    step = 1 if len(data) < 1000 else 777
    one_by_one = told(
        apart([event for at in range(0, len(data), step) for event in pieces.receive(data[at : at + step], 0.0)])
    )
    assert at_once == one_by_one
    assert state(whole) == state(pieces)


def test_usual_calls_are_one_event_at_each_end():
    client, server = warm()
    write_request(client, True, b"hello")
    (asked,) = server.receive(client.take_output(), 0.0)
    assert isinstance(asked, UnaryRequests)
    ((request, *content),) = asked.calls
    assert content == [REQUEST, b"hello"]
    server.send_unary(request, RESPONSE, b"world", OK)
    (answered,) = client.receive(server.take_output(), 0.0)
    assert isinstance(answered, UnaryResponses)
    ((response, *content),) = answered.calls
    assert content == [RESPONSE, b"world", OK]
    assert client.streams == server.streams == {}
    assert response.closed and request.closed


def test_usual_calls_one_after_the_other_are_one_event():
    client, server = warm()
    for number in range(5):
        write_request(client, True, b"%d" % number)
    (asked,) = server.receive(client.take_output(), 0.0)
    assert isinstance(asked, UnaryRequests)
    assert [data for _, _, data in asked.calls] == [b"0", b"1", b"2", b"3", b"4"]
    for stream, _, data in asked.calls:
        server.send_unary(stream, RESPONSE, data, OK)
    (answered,) = client.receive(server.take_output(), 0.0)
    assert isinstance(answered, UnaryResponses)
    assert [data for _, _, data, _ in answered.calls] == [b"0", b"1", b"2", b"3", b"4"]


def test_usual_calls_are_one_event_whatever_the_lengths_of_their_blocks():
    """Lengths whose last octets are alike push one another out of the table that they are looked up in. A fill over 254
    bytes has two octets of length more than one below 127 (RFC 7541 section 5.1)."""
    client, server = pair()
    for length in (30, 30 + 254, 30, 30 + 766, 500, 30):
        fill = ((b"x-fill", b"x" * length),)
        for _ in range(2):
            client.open_unary((*REQUEST, *fill), b"hello")
            (asked,) = server.receive(client.take_output(), 0.0)
            assert isinstance(asked, UnaryRequests)
            ((stream, sent, _),) = asked.calls
            assert sent == (*REQUEST, *fill)
            server.send_unary(stream, (*RESPONSE, *fill), b"hi", (*OK, *fill))
            (answered,) = client.receive(server.take_output(), 0.0)
            assert isinstance(answered, UnaryResponses)
            assert answered.calls == [(answered.calls[0][0], (*RESPONSE, *fill), b"hi", (*OK, *fill))]


def test_header_fields_that_were_made_once_are_found_by_what_they_are_made_of():
    client, server = pair()
    made = []

    def make(path: bytes, more: tuple[tuple[bytes, bytes], ...]):
        made.append(path)
        return (*REQUEST, (b"x-path", path), *more)

    sent = []
    for name in ((b"/a", ()), (b"/b", ()), (b"/a", ()), (b"/a", ((b"k", b"v"),)), (b"/b", ())):
        client.open_unary(name, b"", None, make)
        for asked in server.receive(client.take_output(), 0.0):
            sent += [fields for _, fields, _ in asked.calls]
    assert made == [b"/a", b"/b", b"/a"]
    a, b = (*REQUEST, (b"x-path", b"/a")), (*REQUEST, (b"x-path", b"/b"))
    assert sent == [a, b, a, (*a, (b"k", b"v")), b]


def test_names_of_header_fields_are_bounded_and_forgotten_with_them():
    client, _ = pair()

    def ask(number: int) -> None:
        stream = client.open_unary((number,), b"", None, lambda number: (*REQUEST, (b"x-number", b"%d" % number)))
        client.reset(stream, ErrorCode.CANCEL)

    for number in range(1000):
        ask(number)
    assert len(client._encoder.frames) <= 128
    client.receive(settings((1, 100)), 0.0)
    client.take_output()
    ask(999)
    assert client.take_output()[9] == 0x20  # the block begins with the size update (RFC 7541 section 4.2)


def test_an_unusual_frame_among_usual_calls_keeps_its_place():
    client, server = warm()
    write_request(client, True, b"one")
    client.ping(b"12345678")
    write_request(client, True, b"two")
    first, ping, second = server.receive(client.take_output(), 0.0)
    assert isinstance(first, UnaryRequests) and isinstance(second, UnaryRequests)
    assert (first.calls[0][2], type(ping), second.calls[0][2]) == (b"one", PingReceived, b"two")


def test_a_server_that_has_said_goodbye_reads_no_new_call():
    client, server = warm()
    server.go_away()
    write_request(client, True, b"late")
    assert server.receive(client.take_output(), 0.0) == []
    assert server.streams == {}


def test_a_stream_identifier_that_went_before_is_a_fault():
    _, server = warm()
    client = Connection(Role.CLIENT)
    client._next_id = server.highest_id
    server.take_output()
    client.open_stream(REQUEST)  # the block is known to the server, and the stream was closed long ago
    client.take_output()
    client._next_id = server.highest_id
    write_request(client, True, b"again")
    server.receive(client.take_output(), 0.0)
    assert "closed" in server.termination


SHORT = Limits(max_header_list_size=1000)


def indexing(lists) -> bytes:
    """HEADERS and DATA of calls as clients with a dynamic table write them."""
    peer = hpack.Encoder()
    calls = [
        frame(HEADERS, END_HEADERS, 2 * turn + 1, peer.encode(fields))
        + frame(DATA, END_STREAM, 2 * turn + 1, b"\0" * 5)
        for turn, fields in enumerate(lists)
    ]
    return b"".join(calls)


MORE = [(), ((b"grpc-timeout", b"1S"),), ((b"x", b"1"),), ((b"x", b"2"),), ((b"connection", b"close"),)]
MORE += [((b"content-length", b"5"),), ((b"content-length", b"6"),), ((b"x", b"y" * 600),), ((b"z", b"y" * 1100),)]


@given(st.lists(st.integers(0, len(MORE) - 1), max_size=30))
def test_requests_of_clients_with_a_dynamic_table_are_the_same_in_one_piece(added):
    one, other = Connection(Role.SERVER, SHORT), Connection(Role.SERVER, SHORT)
    for server in (one, other):
        server.receive(PREFACE + settings(), 0.0)
    compare(one, other, indexing([(*REQUEST, *MORE[index]) for index in added]))
    assert one.take_output() == other.take_output()


ENDS = [
    OK,
    (*OK, (b"grpc-message", b"")),
    (*OK, (b"x", b"1")),
    (*OK, (b":status", b"200")),
    (*OK, (b"x", b"y" * 1100)),
]


BEGINS = [RESPONSE, (*RESPONSE, (b"x", b"1")), RESPONSE[:1], ((b":status", b"503"), RESPONSE[1])]


@given(st.lists(st.tuples(st.integers(0, len(BEGINS) - 1), st.integers(0, len(ENDS) - 1)), max_size=20))
def test_replies_of_servers_with_a_dynamic_table_are_the_same_in_one_piece(replies):
    one, other, peer = Connection(Role.CLIENT, SHORT), Connection(Role.CLIENT, SHORT), hpack.Encoder()
    for client in (one, other):
        client.receive(settings(), 0.0)
        for _ in replies:
            write_request(client, True, b"")
    data = b"".join(
        frame(HEADERS, END_HEADERS, 2 * turn + 1, peer.encode(BEGINS[begin]))
        + frame(DATA, 0, 2 * turn + 1, b"\0" * 5)
        + frame(HEADERS, END_HEADERS | END_STREAM, 2 * turn + 1, peer.encode(ENDS[end]))
        for turn, (begin, end) in enumerate(replies)
    )
    compare(one, other, data)
    assert one.take_output() == other.take_output()


def test_calls_of_clients_with_a_dynamic_table_are_told_whole_and_not_remembered():
    server = Connection(Role.SERVER)
    server.receive(PREFACE + settings(), 0.0)
    data = indexing([REQUEST] * 4)
    events = server.receive(data, 0.0)
    assert [type(event) for event in events] == [UnaryRequests] * 4
    assert not server._initial  # nothing that reads the dynamic table is remembered
