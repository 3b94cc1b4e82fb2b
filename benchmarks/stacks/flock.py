"""Many connections with a few calls a second each, from one process: HTTP/2 by hand, so that the server is what costs.

Open loop: a call is made when its time has come, whether or not the one before it was answered, and its latency counts
from that time. The header block is what gRPC clients send: the first fills the dynamic table, the rest refer to it.
"""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass, field

from benchmarks.stacks.messages import Note

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_DATA, _HEADERS, _RESET, _SETTINGS, _PING = 0, 1, 3, 4, 6  # RFC 9113 section 6
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_POST, _HTTP = b"\x83", b"\x86"
_PATH, _AUTHORITY, _CONTENT_TYPE, _USER_AGENT = 4, 1, 31, 58  # the static table, RFC 7541 appendix A
_INDEXED = b"\xc2\xc1\xc0\xbf\xbe"  # what `_block` adds: entries 66 .. 62
_TIMEOUT = b"\x00\x0cgrpc-timeout\x0320S"
_MOST_WAITING = 10  # calls that may wait on one connection; more are not made, and counted as missing


@dataclass(slots=True)
class Answers:
    """What came back: how many calls were due, answered with a message, and refused (a status without a message, or a
    reset), and how late the messages were, in seconds."""

    due: int = 0
    answered: int = 0
    refused: int = 0
    late: list[float] = field(default_factory=list)

    @property
    def over(self) -> int:
        """Calls that the server is done with."""
        return self.answered + self.refused


def _literal(index: int, value: bytes) -> bytes:
    return bytes([0x40 | index, len(value)]) + value


def _block() -> bytes:
    """Literals that enter the dynamic table, in the order of `_INDEXED`."""
    pairs = ((_PATH, b"/bench.Echo/Unary"), (_AUTHORITY, b"127.0.0.1"), (_CONTENT_TYPE, b"application/grpc"))
    return b"".join(
        [
            *(_literal(index, value) for index, value in pairs),
            b"\x40\x02te\x08trailers",
            _literal(_USER_AGENT, b"meshkit-benchmark"),
        ]
    )


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


_MESSAGE = Note(text="x" * 20, number=1).SerializeToString()
_BODY = b"\x00" + struct.pack("!L", len(_MESSAGE)) + _MESSAGE
_FIRST = _POST + _HTTP + _block() + _TIMEOUT
_NEXT = _POST + _HTTP + _INDEXED + _TIMEOUT


class Connection(asyncio.Protocol):
    """One client connection; `call` makes a call that was due at a time of `time.perf_counter`."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self._waiting: dict[int, float] = {}
        self._told: set[int] = set()
        self._stream = 1
        self._rest = b""
        self._headers = _FIRST
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a Transport, says asyncio's documentation
        self._transport.write(_PREFACE)

    def close(self) -> None:
        self._transport.abort()

    def call(self, due: float) -> None:
        self.answers.due += 1
        if len(self._waiting) >= _MOST_WAITING or self._transport.is_closing():
            return
        stream, self._stream = self._stream, self._stream + 2
        self._waiting[stream] = due
        head = _frame(_HEADERS, _END_HEADERS, stream, self._headers)
        self._headers = _NEXT
        self._transport.write(head + _frame(_DATA, _END_STREAM, stream, _BODY))

    def data_received(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= 9:
            high, low, kind, flags, stream = struct.unpack_from("!HBBBL", data, at)
            end = at + 9 + (high << 8 | low)
            if end > len(data):
                break
            self._frame_received(kind, flags, stream, data[at + 9 : end])
            at = end
        self._rest = data[at:]

    def _frame_received(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA:
            self._told.add(stream)
        elif kind == _HEADERS and flags & _END_STREAM:
            self._over(stream)
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._transport.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _RESET and stream in self._waiting:  # else it only confirms an end that was told
            self._over(stream)

    def _over(self, stream: int) -> None:
        due = self._waiting.pop(stream)
        if stream in self._told:
            self._told.remove(stream)
            self.answers.answered += 1
            self.answers.late.append(time.perf_counter() - due)
        else:
            self.answers.refused += 1


async def connected(port: int, count: int, answers: Answers) -> list[Connection]:
    """``count`` connections to ``port``, made a few at a time."""
    loop, found = asyncio.get_running_loop(), list[Connection]()
    while len(found) < count:
        some = range(min(50, count - len(found)))
        made = (loop.create_connection(lambda: Connection(answers), "127.0.0.1", port) for _ in some)
        found += [protocol for _, protocol in await asyncio.gather(*made)]
    return found


async def offer(connections: list[Connection], rate: float, seconds: float) -> None:
    """``rate`` calls a second on each connection for ``seconds``, evenly spread over time and connections."""
    count, start = len(connections), time.perf_counter()
    every, done = 1 / rate / count, 0
    total = round(rate * seconds * count)
    while done < total:
        due = min(total, int((time.perf_counter() - start) / every) + 1)
        for number in range(done, due):
            connections[number % count].call(start + number * every)
        done = due
        await asyncio.sleep(0.001)


async def settled(answers: Answers) -> None:
    """Wait until no more answers come: all are there, or none came for a while. Ten seconds at most."""
    seen, give_up = -1, time.perf_counter() + 10
    while seen != answers.over and answers.over < answers.due and time.perf_counter() < give_up:
        seen = answers.over
        await asyncio.sleep(0.3)
