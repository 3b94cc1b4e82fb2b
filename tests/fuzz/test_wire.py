"""Garbage for the engine, each role: random frames, damaged conversations, noise.

It may say so in its events and end the connection; it may not raise, hang, or keep what it was fed.
``MESHKIT_FUZZ_SECONDS`` (default 1) for each role, shared by its three tests.
"""

import os
import time
import tracemalloc
from contextlib import suppress
from random import Random

import pytest

from meshkit.wire import (
    Connection,
    ErrorCode,
    Headers,
    HeadersTooLarge,
    Limits,
    Message,
    Reset,
    Role,
    Stream,
    Terminated,
)
from tests.support.engines import OK, REQUEST, RESPONSE, apart
from tests.support.fuzzing import SEED
from tests.support.h2peer import (
    PREFACE,
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

SECONDS = float(os.environ.get("MESHKIT_FUZZ_SECONDS", "1")) / 3
LIMITS = Limits(
    max_receive_message=1 << 16, stream_window=1 << 16, connection_window=1 << 18, max_concurrent_streams=20
)
MEMORY = 8 << 20  # bytes that one connection may take, whatever comes


def noise(random: Random, size: int) -> bytes:
    return random.randbytes(random.randrange(size))


def a_frame(random: Random) -> bytes:
    """A frame that may be right, by its type and its payload."""
    number = random.choice((0, 1, 1, 1, 3, 3, 5, 7, 9, 2, 2**31 - 1))
    return random.choice(
        (
            lambda: frame(random.randrange(12), random.randrange(256), number, noise(random, 40)),
            lambda: frame(random.randrange(10), random.choice((0, 1, 4, 5)), number, noise(random, 20_000)),
            lambda: headers(number, request(), end=random.random() < 0.5),
            lambda: headers(number, block(RESPONSE), end=random.random() < 0.2),
            lambda: headers(number, block(OK), end=True),
            lambda: headers(number, noise(random, 60)),
            lambda: headers(number, request(b"/", (b"grpc-encoding", random.choice((b"gzip", b"deflate", b"br"))))),
            lambda: frame(1, random.choice((0, 1)), number, request()[: random.randrange(80)]),
            lambda: frame(9, random.choice((0, 4)), number, noise(random, 40)),
            lambda: data(number, message(noise(random, 300), compressed=random.random() < 0.2)),
            lambda: data(number, message(noise(random, 300)) * 3, end=random.random() < 0.3),
            lambda: data(number, noise(random, 16_384)),
            lambda: data(number, bytes((0, 0, 0, random.randrange(256), random.randrange(256)))),
            lambda: window_update(random.choice((0, number)), random.choice((0, 1, 1000, 2**31 - 1))),
            lambda: settings((random.randrange(8), random.choice((0, 1, 1000, 16384, 65536, 2**31 - 1, 2**32 - 1)))),
            lambda: reset(number, random.randrange(20)),
            lambda: goaway(number, random.randrange(20), noise(random, 20)),
            lambda: frame(6, random.choice((0, 1)), 0, noise(random, 10).ljust(8, b"x")),
        )
    )()


def conversation(random: Random, role: Role) -> bytes:
    """What a peer of ``role`` says: mostly right."""
    start = (PREFACE if role is Role.SERVER else b"") + settings((4, 1 << 16)) + frame(4, 1)
    return start + b"".join(a_frame(random) for _ in range(random.randrange(60)))


def damaged(random: Random, raw: bytes) -> bytes:
    text = bytearray(raw)
    for _ in range(random.choice((0, 0, 1, 1, 3, 10))):
        at = random.randrange(len(text)) if text else 0
        action = random.randrange(4)
        if action == 0 and text:
            text[at] ^= 1 << random.randrange(8)
        elif action == 1:
            del text[at : at + random.randrange(20)]
        elif action == 2:
            text[at:at] = noise(random, 20)
        else:
            text[at:at] = text[at : at + random.randrange(200)]
    return bytes(text)


def answer(random: Random, engine: Connection, stream: Stream) -> None:
    """What an application might do with an open stream."""
    action = random.randrange(7)
    if action == 0:
        engine.send_headers(stream, RESPONSE)
    elif action == 1:
        engine.send_message(stream, bytes(random.choice((0, 10, 40_000))), end=random.random() < 0.2)
    elif action == 2:
        engine.send_headers(stream, OK, end=True)
    elif action == 3:
        engine.reset(stream, ErrorCode.CANCEL)
    elif action == 4:
        engine.end(stream)
    else:
        engine.acknowledge(stream, random.choice((0, 1, 100, 1 << 20)))


def one_connection(random: Random, role: Role, raw: bytes) -> None:
    engine = Connection(role, LIMITS)
    over: set[int] = set()
    known: list[Stream] = []
    at = 0
    while at < len(raw):
        size = random.choice((1, 10, 100, 1000, 100_000))
        if role is Role.CLIENT and engine.can_open and random.random() < 0.3:
            with suppress(HeadersTooLarge):  # where the SETTINGS that came in say so
                known.append(engine.open_stream(REQUEST, end=random.random() < 0.3))
        for event in apart(engine.receive(raw[at : at + size], at / 1000)):
            check(engine, event, over)
            if isinstance(event, Headers):
                known.append(event.stream)
        at += size
        if known and random.random() < 0.5:
            answer(random, engine, random.choice(known))
        if random.random() < 0.8:
            engine.take_output()
        assert engine.queued == sum(stream.queued for stream in engine.streams.values())
        assert len(engine.streams) <= 40
    for event in engine.tick(1e9):
        check(engine, event, over)


def check(engine: Connection, event: object, over: set[int]) -> None:
    stream = getattr(event, "stream", None)
    if stream is not None:
        assert stream.id not in over, "an event of a stream after its Reset"
    if isinstance(event, Reset):
        assert event.stream.closed
        over.add(event.stream.id)
    elif isinstance(event, Message):
        assert len(event.data) <= LIMITS.max_receive_message
    elif isinstance(event, Terminated):
        assert engine.termination
        assert not engine.streams
        assert engine.next_deadline == float("inf")


def rounds(work) -> None:
    """``work`` with one seed after another until the time is over; memory is measured in the first rounds only."""
    until = time.monotonic() + SECONDS
    count = 0
    while time.monotonic() < until or count < 20:
        seed = SEED * 1_000_003 + count
        measured = count < 20
        if measured:
            tracemalloc.start()
        try:
            work(Random(seed))
            assert not measured or tracemalloc.get_traced_memory()[1] < MEMORY
        except BaseException as problem:
            problem.add_note(f"seed {seed}")
            raise
        finally:
            if measured:
                tracemalloc.stop()
        count += 1


@pytest.mark.parametrize("role", Role)
def test_conversations_of_strange_and_damaged_frames(role):
    rounds(lambda random: one_connection(random, role, damaged(random, conversation(random, role))))


@pytest.mark.parametrize("role", Role)
def test_noise(role):
    rounds(lambda random: one_connection(random, role, noise(random, 2000)))


@pytest.mark.parametrize("role", Role)
def test_noise_after_a_good_beginning(role):
    start = (PREFACE if role is Role.SERVER else b"") + settings() + frame(4, 1)
    rounds(lambda random: one_connection(random, role, start + noise(random, 2000)))
