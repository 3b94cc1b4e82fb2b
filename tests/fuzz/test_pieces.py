"""The same bytes whole and one by one: what is read in one step (`meshkit.wire.calls`) means what it means in pieces.

``MESHKIT_FUZZ_SECONDS`` (default 1) for each role.
"""

import os
import time
from random import Random

import pytest

from meshkit.wire import Connection, Event, Limits, Message, Role
from tests.support.engines import OK, REQUEST, RESPONSE, apart, frames
from tests.support.fuzzing import SEED
from tests.support.h2peer import (
    PREFACE,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    headers,
    message,
    request,
    reset,
    settings,
)

SECONDS = float(os.environ.get("MESHKIT_FUZZ_SECONDS", "1")) / 2
LIMITS = Limits(max_receive_message=1000, stream_window=2000, connection_window=1 << 17, max_concurrent_streams=25)


def padded(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return frame(kind, flags | 8, stream, b"\3" + payload + bytes(3))


def call(random: Random, stream: int, first: bytes, last: bytes) -> bytes:
    """A call's frames; ``last``: its trailers, where it has some. Most are as usual, some are unusual or wrong."""
    body = message(
        bytes(random.choice((0, 0, 5, 5, 100, 994, 995, 1000, 1001, 1990))), compressed=random.random() < 0.1
    )
    ends = not last
    strange = random.randrange(60)
    begin = headers(stream, first)
    if strange == 0:
        begin = padded(1, 4, stream, first)
    elif strange == 1:
        begin = frame(1, 0x24, stream, bytes((0, 0, 0, random.choice((0, 1)), 9)) + first)
    elif strange == 2:
        begin = frame(1, 0, stream, first[:7]) + frame(9, 4, stream, first[7:])
    elif strange == 3:
        body += random.choice((message(b"more"), b"\0", b"\0\0\0\0\3a"))
    elif strange == 4:
        body = random.choice((b"", body[:-1], body[:3]))
    whole = padded(0, ends, stream, body) if strange == 5 else data(stream, body, end=ends)
    if strange == 6:
        whole = data(stream, body) + (data(stream, b"", end=True) if ends else b"")
    elif strange == 7:
        whole = data(stream, body[:2]) + data(stream, body[2:], end=ends)
    elif strange == 8:
        whole = reset(stream) + whole
    elif strange == 9:
        whole = data(random.choice((1, stream + 2)), body, end=ends)
    return begin + whole + (headers(stream, last, end=strange != 10) if last else b"")


def said(random: Random, role: Role) -> bytes:
    """A conversation. Blocks are few, so that they come again; some name the dynamic table, and some change it."""
    start = (PREFACE if role is Role.SERVER else b"") + settings() + frame(4, 1)
    adds = (b"\x40\x04name\x02ab", b"\x40\x04name\x01c")
    tails = [b""] * 9 + [*adds]
    parts = [start]
    for number in range(random.randrange(1, 30)):
        first = request() if role is Role.SERVER else block(RESPONSE)
        last = b"" if role is Role.SERVER else block(OK)
        first += random.choice(tails)
        if first[-1:] == b"b" and role is Role.SERVER:
            tails += [b"\xbe"] * 9  # there is an entry to be named
        if random.random() < 0.02:
            first = b"\x20\x3f\xe1\x1f" + first  # the table emptied
        parts.append(call(random, 2 * number + 1, first, last and last + random.choice(tails[:10])))
        if random.random() < 0.02:
            parts.append(random.choice(parts))
    return b"".join(parts)


def meaning(event: Event) -> tuple[object, ...]:
    stream = getattr(event, "stream", None)
    names = [name for name in event.__slots__ if name not in ("stream", "data")]
    text = getattr(event, "data", None) if isinstance(event, Message) else None
    return (type(event).__name__, stream and stream.id, text, *(getattr(event, name) for name in names))


def heard(role: Role, raw: bytes, sizes: list[int]) -> tuple[list[tuple[object, ...]], list[object], list[int]]:
    """Events, frames written but for credit, which depends on the moment, and what is left of windows and streams."""
    engine = Connection(role, LIMITS)
    events: list[tuple[object, ...]] = []
    if role is Role.CLIENT:
        for _ in range(30):
            engine.open_unary(REQUEST, b"")
    at = 0
    for size in sizes:
        events += map(meaning, apart(engine.receive(raw[at : at + size], 1.0)))
        at += size
    written = [(each.kind, each.stream, each.payload) for each in frames(engine.take_output())]
    windows = [stream.recv_window for stream in engine.streams.values()]
    return events, [each for each in written if each[0] != WINDOW_UPDATE], [*engine.streams, *windows]


@pytest.mark.parametrize("role", Role)
def test_whole_and_byte_by_byte_mean_the_same(role):
    until, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < until or count < 20:
        seed = SEED * 1_000_003 + count
        random = Random(seed)
        raw = said(random, role)
        cut = random.randrange(1, len(raw))
        whole = heard(role, raw, [len(raw)])
        assert heard(role, raw, [cut, len(raw) - cut]) == whole, f"seed {seed}, cut at {cut}"
        assert heard(role, raw, [1] * len(raw)) == whole, f"seed {seed}"
        count += 1
