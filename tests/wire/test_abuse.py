"""What a peer may do that costs us work and brings nothing: each flood soon ends the connection with ENHANCE_YOUR_CALM,
and an honest peer that does a little of it, or a lot over time, does not lose it."""

import gzip
import tracemalloc
from collections.abc import Callable

import pytest

from meshkit.wire import Connection, ErrorCode, Headers, Limits, Message, Reset, Role, Terminated, Writable
from meshkit.wire.budget import Budget
from tests.support.engines import OK, REQUEST, RESPONSE, Wire, exchange, frames, handshaken, of, pair
from tests.support.h2peer import (
    CONTINUATION,
    HEADERS,
    PING,
    PRIORITY,
    SETTINGS,
    data,
    frame,
    headers,
    message,
    request,
    reset,
    settings,
    string,
    window_update,
)

CALM = ErrorCode.ENHANCE_YOUR_CALM


def opened(number: int, *, end: bool = False) -> bytes:
    return headers(2 * number + 1, request(), end=end)


def survived(wire: Wire, flood: Callable[[int], bytes], most: int, *, read: bool = True) -> int:
    """How many rounds of a flood an engine takes; ``read``: what it answers is read."""
    for number in range(most):
        ended = of(wire.feed(flood(number)), Terminated)
        if ended:
            assert ended[0].code == CALM
            assert not wire.engine.streams
            return number
        if read:
            wire.engine.take_output()
    return most


# name: frames of round n (stream 1 is open), and how many rounds are too many
FLOODS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "rapid reset (CVE-2023-44487)": (lambda n: opened(n + 1) + reset(2 * n + 3), 1100),
    "MadeYouReset by WINDOW_UPDATE of 0 (CVE-2025-8671)": (lambda n: opened(n + 1) + window_update(2 * n + 3, 0), 1100),
    "MadeYouReset by a window over 2^31-1": (lambda n: opened(n + 1) + window_update(2 * n + 3, 2**31 - 1), 1100),
    "MadeYouReset by PRIORITY of 4 bytes": (lambda n: opened(n + 1) + frame(PRIORITY, 0, 2 * n + 3, bytes(4)), 1100),
    "MadeYouReset by DATA after the end": (lambda n: opened(n + 1, end=True) + data(2 * n + 3, b"x"), 1100),
    "MadeYouReset by a message too large": (
        lambda n: opened(n + 1) + data(2 * n + 3, b"\0\xff\xff\xff\xff"),
        1100,
    ),
    "malformed requests": (lambda n: headers(2 * n + 3, b"\x82"), 1100),
    "streams over the limit": (lambda n: b"".join(opened(n * 2 + k + 1) for k in range(2)), 1100),
    "PING": (lambda n: frame(PING, 0, 0, bytes(8)), 11_000),
    "PING acknowledgements": (lambda n: frame(PING, 1, 0, bytes(8)), 11_000),
    "SETTINGS": (lambda n: settings(), 11_000),
    "SETTINGS of many entries": (lambda n: settings(*[(4, 65535 + k % 2) for k in range(2000)]), 20),
    "SETTINGS acknowledgements": (lambda n: frame(SETTINGS, 1), 11_000),
    "PRIORITY": (lambda n: frame(PRIORITY, 0, 2 * n + 1, bytes(5)), 11_000),
    "WINDOW_UPDATE of the connection": (lambda n: window_update(0, 1), 11_000),
    "WINDOW_UPDATE of a stream": (lambda n: window_update(1, 1), 11_000),
    "frames of unknown types": (lambda n: frame(0x42, 0, 0, b""), 11_000),
    "RST_STREAM of a closed stream": (lambda n: reset(1), 11_000),
    "empty DATA": (lambda n: data(1, b""), 12),
    "DATA of padding only": (lambda n: frame(0, 8, 1, b"\0"), 12),
}


@pytest.mark.parametrize("flood, most", FLOODS.values(), ids=FLOODS)
def test_floods_end_the_connection(flood, most):
    wire = handshaken(Role.SERVER, Limits(max_concurrent_streams=1001))
    wire.feed(opened(0))
    assert survived(wire, flood, most) < most


@pytest.mark.parametrize("flood, most", [FLOODS["PING"], FLOODS["SETTINGS"]], ids=["PING", "SETTINGS"])
def test_answers_that_are_not_read_do_not_pile_up(flood, most):
    wire = handshaken(Role.SERVER, Limits(max_queued_answers=100))
    assert survived(wire, flood, most, read=False) == 100
    assert wire.engine.output_size < 100 * 17 + 200


def test_interim_responses_without_end():
    wire = handshaken(Role.CLIENT)
    wire.open()
    assert survived(wire, lambda n: headers(1, b"\x08\x03103"), 11_000) < 11_000


def test_a_flood_of_continuations():
    wire = handshaken(Role.SERVER)
    wire.feed(frame(HEADERS, 0, 1, request()))
    assert survived(wire, lambda n: frame(CONTINUATION, 0, 1, b""), 20) == 8


def test_a_header_list_over_the_limit_is_an_answer_and_a_bomb_is_not():
    wire = handshaken(Role.SERVER)
    events = wire.feed(headers(1, request(b"/", (b"x", b"y" * 10_000))))
    assert of(events, Headers)
    entry = b"\x40" + string(b"bomb") + string(b"x" * 4000)
    assert [event.status for event in of(wire.feed(headers(3, request() + entry + b"\xbe" * 4)), Reset)] == [8]
    written = wire.output()
    assert [dict(each.fields)[b"grpc-status"] for each in written if each.kind == HEADERS] == [b"8"]
    assert [event.code for event in of(wire.feed(headers(5, request() + b"\xbe" * 14_000)), Terminated)] == [CALM]


def test_trailers_over_the_limit():
    wire = handshaken(Role.CLIENT, Limits(max_header_list_size=8192))
    wire.open()
    wire.feed(headers(1, b"\x88"))
    fat = b"".join(b"\0" + string(b"k%d" % number) + string(b"v" * 2700) for number in range(4))
    assert [event.status for event in of(wire.feed(headers(1, fat, end=True)), Reset)] == [8]


def memory(work: Callable[[], object]) -> int:
    """The most that ``work`` had allocated at once, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_message_in_tiny_frames_takes_little_more_than_its_size():
    wire = handshaken(Role.SERVER)
    wire.feed(opened(0), data(1, (1 << 18).to_bytes(5, "big")))
    pieces = b"".join(data(1, b"xy") for _ in range(1 << 10))

    def attack() -> None:
        for _ in range(127):
            wire.feed(pieces)

    assert memory(attack) < 3 << 20  # of 254 KiB received


def test_unfinished_messages_of_many_streams_are_bounded():
    limits = Limits(max_receive_message=4 << 20)
    wire = handshaken(Role.SERVER, limits)
    chunk = data(1, bytes(16384))[9:]

    def attack() -> None:
        for number in range(100):
            wire.feed(opened(number))
            wire.feed(data(2 * number + 1, (4 << 20).to_bytes(5, "big")))
            for _ in range(63):
                wire.engine.receive(frame(0, 0, 2 * number + 1, chunk), 0.0)
                wire.engine.take_output()

    assert memory(attack) < 80 << 20  # 100 MiB were sent


def test_small_messages_that_wait_for_windows_take_little_more_than_their_size():
    wire = handshaken(Role.SERVER, Limits(max_queued=1 << 30), (4, 0))
    wire.feed(opened(0))
    stream = wire.engine.streams[1]
    wire.engine.send_headers(stream, RESPONSE)

    def attack() -> None:
        while stream.writable:
            wire.engine.send_message(stream, b"tiny")

    assert memory(attack) < 3 * Limits().write_high


def test_streams_together_queue_no_more_than_the_connection_may():
    """What a peer asks for on a thousand streams, and gives no window for: each stream gets its turn again later."""
    limits = Limits(max_queued=100_000)
    wire = handshaken(Role.SERVER, limits, (4, 0))
    for number in range(900):
        wire.feed(opened(number))
    engine = wire.engine
    streams = list(engine.streams.values())
    for stream in streams:
        engine.send_headers(stream, RESPONSE)
        while stream.writable:
            engine.send_message(stream, b"x" * 95)
    assert limits.max_queued <= engine.queued < limits.max_queued + 900 * 100
    events = wire.feed(window_update(0, 1 << 20) + settings((4, 1 << 17)))
    assert {event.stream.id for event in of(events, Writable)} == set(engine.streams)
    assert engine.queued == 0


def test_what_a_connection_remembers_is_bounded():
    wire = handshaken(Role.SERVER)

    def attack() -> None:
        for number in range(3000):
            wire.feed(headers(2 * number + 1, request(b"/%d" % number, (b"x", b"y" * (900 + number % 2000))), end=True))
            stream = wire.engine.streams[2 * number + 1]
            wire.engine.send_headers(stream, (*RESPONSE, *OK, (b"n", b"%d" % number)), end=True)
            wire.engine.take_output()

    assert memory(attack) < 4 << 20


def test_gzip_bombs_take_no_more_than_the_limit():
    wire = handshaken(Role.SERVER, Limits(max_receive_message=1 << 20))
    bomb = gzip.compress(bytes(64 << 20))
    wire.feed(headers(1, request(b"/", (b"grpc-encoding", b"gzip"))))
    raw = message(bomb, compressed=True)

    def attack() -> None:
        for at in range(0, len(raw), 16384):
            wire.feed(data(1, raw[at : at + 16384]))

    assert memory(attack) < 4 << 20


def test_the_connection_lives_when_a_flood_came_slowly():
    wire = handshaken(Role.SERVER)
    for number in range(3000):
        events = wire.feed(opened(number), reset(2 * number + 1), now=number / 30)
        assert not of(events, Terminated)
        wire.engine.take_output()


def test_pings_among_messages_are_welcome():
    wire = handshaken(Role.SERVER)
    wire.feed(opened(0))
    for _ in range(15_000):
        assert not of(wire.feed(data(1, message(b"x")), frame(PING, 0, 0, bytes(8)), window_update(1, 6)), Terminated)
        wire.engine.acknowledge(wire.engine.streams[1], 1)
        wire.engine.take_output()


def test_a_client_that_acknowledges_a_fast_stream_is_welcome():
    client, server = pair(Limits(stream_window=1 << 16))
    stream = client.open_stream(REQUEST, end=True)
    got = of(exchange(client, server)[1], Headers)[0].stream
    server.send_headers(got, RESPONSE)
    for _ in range(15_000):
        server.send_message(got, b"x" * 40)
        for event in of(client.receive(server.take_output(), 0.0), Message):
            client.acknowledge(event.stream, 40)
            client._credit(0, 1)  # far too much of it
        assert not of(server.receive(client.take_output(), 0.0), Terminated)
    assert stream.id in client.streams


def test_calls_that_are_answered_may_be_cancelled():
    wire = handshaken(Role.SERVER)
    for number in range(5000):
        wire.feed(opened(number))
        wire.engine.send_headers(wire.engine.streams[2 * number + 1], RESPONSE)
        wire.engine.take_output()
        assert not of(wire.feed(reset(2 * number + 1)), Terminated)


def test_resets_by_us_are_not_the_peers_fault():
    server = Connection(Role.SERVER)
    client = Connection(Role.CLIENT)
    exchange(client, server)
    for _ in range(5000):
        stream = client.open_stream(REQUEST, end=True)
        got = of(exchange(client, server)[1], Headers)[0].stream
        server.reset(got, ErrorCode.CANCEL)
        assert of(exchange(client, server)[0], Reset)[0].stream is stream
    assert server.termination == client.termination == ""


def test_the_last_words_say_why():
    wire = handshaken(Role.SERVER, Limits(overhead_burst=5, overhead_per_second=0))
    wire.feed(*[frame(PING, 0, 0, bytes(8))] * 10)
    assert frames(wire.engine.take_output())[-1].payload[8:] == b"too many PING frames"


def test_a_budget_is_filled_by_time_up_to_its_burst():
    budget = Budget(10, 2, 100.0)
    assert budget.spend(10, 100.0)
    assert budget.spend(5, 102.5)
    assert not budget.spend(1, 102.5)
    assert budget.spend(10, 200.0)
    assert not budget.spend(1, 200.0)
