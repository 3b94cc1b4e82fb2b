"""The engine against the `h2` library, in memory: what an independent implementation thinks of our bytes."""

import h2.connection
import h2.events
import pytest
from h2.config import H2Configuration
from hypothesis import given, settings
from hypothesis import strategies as st

from meshkit.wire import Connection, ErrorCode, Event, HalfClosed, Headers, Message, Pong, Reset, Role, Trailers
from tests.support.engines import OK, REQUEST, RESPONSE, apart, of
from tests.support.h2peer import message

Theirs = h2.connection.H2Connection


def theirs(client: bool) -> Theirs:
    peer = Theirs(H2Configuration(client_side=client, header_encoding=None))
    peer.initiate_connection()
    return peer


def talk(ours: Connection, peer: Theirs, cut: int = 1 << 20) -> tuple[list[Event], list[h2.events.Event]]:
    """Carry bytes in pieces of ``cut`` until both are silent. Their application reads all at once."""
    seen: list[Event] = []
    told: list[h2.events.Event] = []
    for _ in range(1000):
        output, answer = ours.take_output(), peer.data_to_send()
        if not (output or answer):
            return seen, told
        for at in range(0, len(output), cut):
            for event in peer.receive_data(output[at : at + cut]):
                told.append(event)
                if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        for at in range(0, len(answer), cut):
            seen += apart(ours.receive(answer[at : at + cut], 0.0))
    raise AssertionError("never silent")


def body(told: list[h2.events.Event]) -> bytes:
    return b"".join(event.data for event in told if isinstance(event, h2.events.DataReceived))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 200_000), max_size=4), st.sampled_from([1 << 20, 17, 5000]))
def test_our_client_and_their_server(sizes, cut):
    ours, peer = Connection(Role.CLIENT), theirs(client=False)
    talk(ours, peer)
    stream = ours.open_stream((*REQUEST, (b"x-long", b"v" * 9000)))
    for size in sizes:
        ours.send_message(stream, b"m" * size)
    ours.end(stream)
    _, told = talk(ours, peer, cut)
    (asked,) = of(told, h2.events.RequestReceived)
    assert [tuple(field) for field in asked.headers] == [*REQUEST, (b"x-long", b"v" * 9000)]
    assert body(told) == b"".join(message(b"m" * size) for size in sizes)
    assert of(told, h2.events.StreamEnded)
    peer.send_headers(1, [*RESPONSE, (b"x-indexed", b"value")])
    peer.send_data(1, message(b"reply"), pad_length=7)
    peer.send_headers(1, OK, end_stream=True)
    seen, _ = talk(ours, peer, cut)
    assert [type(event) for event in seen] == [Headers, Message, Trailers]
    assert seen[0].fields == (*RESPONSE, (b"x-indexed", b"value"))
    assert ours.streams == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 200_000), max_size=4), st.sampled_from([1 << 20, 17, 5000]))
def test_their_client_and_our_server(sizes, cut):
    ours, peer = Connection(Role.SERVER), theirs(client=True)
    talk(ours, peer)
    for number in (1, 3, 5):  # the second and third from their dynamic table
        peer.send_headers(number, REQUEST)
        peer.send_data(number, message(b"hello"), end_stream=True)
        seen, _ = talk(ours, peer, cut)
        assert [type(event) for event in seen] == [Headers, Message, HalfClosed]
        assert seen[0].fields == REQUEST
        stream = seen[0].stream
        ours.send_headers(stream, RESPONSE)
        for size in sizes:
            ours.send_message(stream, b"r" * size)
        ours.send_headers(stream, OK, end=True)
        _, told = talk(ours, peer, cut)
        assert body(told) == b"".join(message(b"r" * size) for size in sizes)
        assert [tuple(field) for field in of(told, h2.events.TrailersReceived)[0].headers] == list(OK)
        assert of(told, h2.events.StreamEnded)
    assert ours.streams == {}


def test_resets_pings_and_goodbyes():
    ours, peer = Connection(Role.CLIENT), theirs(client=False)
    talk(ours, peer)
    first, second, third = (ours.open_stream(REQUEST) for _ in range(3))
    ours.reset(first, ErrorCode.CANCEL)
    ours.ping(b"12345678")
    seen, told = talk(ours, peer)
    assert seen == [Pong(b"12345678")]
    assert [(event.stream_id, event.error_code) for event in of(told, h2.events.StreamReset)] == [(1, 8)]
    peer.reset_stream(3, 7)
    peer.ping(b"87654321")
    seen, told = talk(ours, peer)
    assert [(event.stream, event.unprocessed) for event in of(seen, Reset)] == [(second, True)]
    assert [event.ping_data for event in of(told, h2.events.PingAckReceived)] == [b"87654321"]
    peer.close_connection(last_stream_id=0)
    seen, _ = talk(ours, peer)
    assert [(event.stream, event.unprocessed) for event in of(seen, Reset)] == [(third, True)]
    ours.go_away()
    assert of(peer_events(ours, peer), h2.events.ConnectionTerminated)


def peer_events(ours: Connection, peer: Theirs) -> list[h2.events.Event]:
    return peer.receive_data(ours.take_output())


@pytest.mark.parametrize("window", [0, 1, 1000, 100_000])
def test_their_settings_in_the_middle_of_a_stream(window):
    ours, peer = Connection(Role.CLIENT), theirs(client=False)
    talk(ours, peer)
    stream = ours.open_stream(REQUEST)
    ours.send_message(stream, b"a" * 30_000)
    talk(ours, peer)
    peer.update_settings({4: window, 5: 20_000, 1: 0})
    talk(ours, peer)
    ours.send_message(stream, b"b" * 30_000, end=True)
    other = ours.open_stream(REQUEST, end=True)
    talk(ours, peer)
    peer.update_settings({4: 1 << 20})
    talk(ours, peer)
    assert ours.queued == 0
    assert stream.state == other.state == 1
