"""gRPC messages out of DATA (PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): a flag, four bytes of length, the message.

A message may come in any pieces. Pieces are kept as they are and joined once, so that a large message costs no more a
byte than a small one.
"""

from __future__ import annotations

from typing import Final

from .codes import ErrorCode
from .compression import InflateError, TooLarge, inflate
from .faults import StreamFault
from .stream import NO_PREFIX, Partial, Stream

__all__ = ["PREFIX", "add_pieces", "whole"]

PREFIX: Final = 5
_RESOURCE_EXHAUSTED: Final = 8


def add_pieces(stream: Stream, chunk: bytes) -> list[tuple[int, bytes]]:
    """The messages, with their flags, that ``chunk`` completes; what is left waits in the stream.

    Raises StreamFault (RESOURCE_EXHAUSTED) as soon as a length over the stream's limit is seen, before it is buffered.
    """
    messages: list[tuple[int, bytes]] = []
    at = 0
    partial = stream.partial
    if partial is not None and partial.flag == NO_PREFIX:
        chunk, stream.partial = partial.joined() + chunk, None
    elif partial is not None:
        at = partial.size - partial.received
        partial.add(chunk[:at])
        if at > len(chunk):
            return messages
        messages.append((partial.flag, partial.joined()))
        stream.partial = None
    end = len(chunk)
    while end - at >= PREFIX:
        size = check_size(stream, int.from_bytes(chunk[at + 1 : at + PREFIX], "big"))
        flag, at = chunk[at], at + PREFIX
        if end - at < size:
            stream.partial = Partial(flag, size, chunk[at:])
            return messages
        messages.append((flag, chunk[at : at + size]))
        at += size
    if at < end:
        stream.partial = Partial(NO_PREFIX, PREFIX, chunk[at:])
    return messages


def check_size(stream: Stream, size: int) -> int:
    """``size``, if the stream takes messages of that size."""
    if size > stream.max_message:
        reason = f"a message of {size} bytes is over the limit of {stream.max_message}"
        raise StreamFault(stream.id, ErrorCode.CANCEL, reason, _RESOURCE_EXHAUSTED)
    return size


def whole(stream: Stream, flag: int, data: bytes) -> bytes:
    """The message behind its flag: as it is, or inflated within the stream's limit. Raises StreamFault."""
    if flag == 0:
        return data
    if flag != 1:
        raise StreamFault(stream.id, ErrorCode.CANCEL, f"a message with flag {flag}, not 0 or 1")
    try:
        encoding = b"identity" if stream.block is None else stream.block.encoding
        return inflate(data, encoding, stream.max_message)
    except InflateError as error:
        raise StreamFault(stream.id, ErrorCode.CANCEL, f"a message cannot be inflated: {error}") from None
    except TooLarge:
        reason = f"a message inflates to more than the limit of {stream.max_message} bytes"
        raise StreamFault(stream.id, ErrorCode.CANCEL, reason, _RESOURCE_EXHAUSTED) from None
