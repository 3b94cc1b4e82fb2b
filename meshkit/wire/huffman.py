"""HPACK's Huffman code (RFC 7541 section 5.2, appendix B), decoded a byte at a time.

The code is canonical, so the lengths say everything. A step of the decoder is remembered when it is first taken: from
a place in the code tree, with a byte of input, to the text that it completes and the next place.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HuffmanError", "huffman_decode"]

# The length in bits of the code of each byte, and of the end-of-string symbol (256).
# fmt: off
LENGTHS: Final[tuple[int, ...]] = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
)
# fmt: on
_EOS: Final = 256


class HuffmanError(ValueError):
    """Padding that is too long or not ones, or the end-of-string symbol inside (section 5.2)."""


def canonical_codes(lengths: tuple[int, ...]) -> list[int]:
    """The code of each symbol: ordered by length, then by symbol, each one more than the one before."""
    codes = [0] * len(lengths)
    code, length = -1, 0
    for symbol in sorted(range(len(lengths)), key=lambda symbol: (lengths[symbol], symbol)):
        code = (code + 1) << (lengths[symbol] - length)
        length = lengths[symbol]
        codes[symbol] = code
    return codes


def _tree() -> list[list[int]]:
    """Nodes as pairs of what follows a 0 and a 1: a node's number, or ~symbol for a leaf."""
    nodes: list[list[int]] = [[0, 0]]
    for symbol, (code, length) in enumerate(zip(canonical_codes(LENGTHS), LENGTHS, strict=True)):
        at = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if nodes[at][bit] == 0:
                nodes[at][bit] = len(nodes)
                nodes.append([0, 0])
            at = nodes[at][bit]
        nodes[at][code & 1] = ~symbol
    return nodes


_NODES: Final = _tree()
_STEPS: dict[int, tuple[int, bytes]] = {}
_MOST_STEPS: Final = 8192  # about 1.4 MB; plain text takes some hundred, all that there are would be 65,536


def _step(at: int, byte: int) -> tuple[int, bytes]:
    text = bytearray()
    for shift in range(7, -1, -1):
        at = _NODES[at][byte >> shift & 1]
        if at < 0:
            if ~at == _EOS:
                raise HuffmanError("the end-of-string symbol is inside a string")
            text.append(~at)
            at = 0
    return at, bytes(text)


def _padding_places() -> frozenset[int]:
    """Where a string may end: at the root, or after up to seven ones of padding."""
    places, at = {0}, 0
    for _ in range(7):
        at = _NODES[at][1]
        places.add(at)
    return frozenset(places)


_ENDS: Final = _padding_places()


def huffman_decode(data: bytes) -> bytes:
    """The text of a Huffman-coded string. Raises HuffmanError."""
    at = 0
    parts: list[bytes] = []
    for byte in data:
        key = at << 8 | byte
        step = _STEPS.get(key)
        if step is None:
            if len(_STEPS) >= _MOST_STEPS:
                _STEPS.clear()
            step = _STEPS[key] = _step(at, byte)
        at, text = step
        parts.append(text)
    if at not in _ENDS:
        raise HuffmanError("a string ends in padding that is not up to seven ones")
    return b"".join(parts)
