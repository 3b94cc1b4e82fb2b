"""HPACK (RFC 7541): header blocks to fields and back.

Our encoder indexes nothing: it names static entries and writes the rest as literals, so that equal headers are equal
blocks and each distinct one is encoded once (`Encoder`). Other encoders fill the dynamic table with the first calls of
a connection and name its entries afterwards, in one octet each: blocks begin with a run of those, or are one, and the
decoder takes a run at once (`Decoder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from meshkit.metadata import RawHeaders

from .codes import ErrorCode
from .faults import ConnectionFault
from .hpack_table import OVERHEAD, STATIC, STATIC_FIELDS, STATIC_NAMES, Table
from .huffman import HuffmanError, huffman_decode
from .layout import layout_of

__all__ = ["Decoder", "Encoder", "HeaderListTooLarge"]

_STATIC_LENGTH: Final = len(STATIC)
_INDICES: Final = bytes([octet & 127 if 0x80 < octet < 0xFF else 0 for octet in range(256)])  # of indexed fields (6.1)
_BOMB: Final = 4  # times the limit: not an application's mistake any more


class HeaderListTooLarge(Exception):
    """The fields are larger than allowed; the block was read to its end, so the table is as the peer thinks."""


def encode_integer(value: int, bits: int, pattern: int) -> bytes:
    """An integer with a prefix of ``bits`` bits (section 5.1), under the high bits of ``pattern``."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((pattern | value,))
    octets = bytearray((pattern | most,))
    value -= most
    while value >= 128:
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)


class HeadersFrame:
    """A block and the layout of the frame that it is sent in."""

    __slots__ = ("block", "layout")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self.layout = layout_of(len(block))


class Encoder:
    """Fields to blocks. A table that nothing is put into needs no upkeep but one word when the peer shrinks it.

    ``frames``: the frames of header lists encoded lately, ready to be written; by list, and by the names of some.
    """

    __slots__ = ("_fields", "_update", "frames")

    _LISTS: Final = 128  # remembered, and names of them, and no longer than this:
    _LONGEST: Final = 1024
    _FIELDS: Final = 256

    def __init__(self) -> None:
        self.frames: dict[Sequence[Any], HeadersFrame] = {}
        self._fields: dict[tuple[bytes, bytes], bytes] = {}
        self._update = b""

    def table_size_shrunk(self) -> None:
        """The peer allows a smaller table than before: the next block must say that we know (section 4.2)."""
        self._update = b"\x20"  # size update to 0: we use none
        self.frames.clear()

    def encode(self, fields: RawHeaders) -> bytes:
        """The block of ``fields`` (a tuple, names in lower case)."""
        known = self._fields
        block = b"".join([known.get(field) or self._field(field) for field in fields])
        if self._update:
            block, self._update = self._update + block, b""
        elif len(block) <= self._LONGEST:
            if len(self.frames) >= self._LISTS:
                self.frames.clear()  # lists that differ each time push out those that repeat, which soon are back
            self.frames[fields] = HeadersFrame(block)
        return block

    def name(self, name: Sequence[Any], fields: RawHeaders) -> None:
        """Remember the frame of ``fields`` by ``name``, too; it may be no other list's, nor a list."""
        frame = self.frames.get(fields)
        if frame is not None and len(self.frames) < self._LISTS:
            self.frames[name] = frame

    def _field(self, field: tuple[bytes, bytes]) -> bytes:
        index = STATIC_FIELDS.get(field)
        if index is not None:
            text = bytes((0x80 | index,))  # indexed field (section 6.1)
        else:
            name, value = field
            text = _literal_name(name) + encode_integer(len(value), 7, 0) + value
        if len(text) <= self._LONGEST:
            if len(self._fields) >= self._FIELDS:
                self._fields.clear()
            self._fields[field] = text
        return text


def _literal_name(name: bytes) -> bytes:
    """The start of a literal without indexing (section 6.2.2)."""
    index = STATIC_NAMES.get(name)
    return encode_integer(index, 4, 0) if index else b"\x00" + encode_integer(len(name), 7, 0) + name


class Decoder:
    """Blocks to fields, within ``max_list`` bytes (each field counted with 32 more)."""

    __slots__ = ("_bomb", "_fields", "_lasting", "_max_list", "_table")

    def __init__(self, table_size: int, max_list: int) -> None:
        self._table = Table(table_size)
        self._fields = self._table.fields
        self._max_list = max_list
        self._bomb = _BOMB * max_list
        self._lasting = True

    def decode(self, block: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
        """The fields, and whether the same block means them at any time: it neither read nor changed the dynamic table.

        Raises ConnectionFault (COMPRESSION_ERROR; ENHANCE_YOUR_CALM for a bomb) and HeaderListTooLarge.
        """
        indices = block.translate(_INDICES)
        run = indices.find(0)
        if run >= 0:
            indices = indices[:run]
        if len(indices) * OVERHEAD > self._bomb:
            raise _too_large(len(indices) * OVERHEAD)
        self._lasting = max(indices, default=0) < _STATIC_LENGTH
        try:
            entries = self._fields
            fields = [entries[index] for index in indices]
            size = len(indices) * self._table.largest  # at most; counted where that is not surely allowed
            if run >= 0:
                size = self._rest(block, run or self._size_updates(block), fields, size)
        except (IndexError, HuffmanError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"HPACK: {error}") from None
        if size > self._max_list and (size := _list_size(fields)) > self._max_list:
            raise _too_large(size) if size > self._bomb else HeaderListTooLarge
        return tuple(fields), self._lasting

    def _size_updates(self, block: bytes) -> int:
        """Section 4.2: only at the start of a block. Gives where the fields begin."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size, at = decode_integer(block, at, 5)
            if size > self._table.limit:
                raise IndexError(f"table size update to {size}, over the limit of {self._table.limit}")
            self._table.resize(size)
            self._lasting = False
        return at

    def _rest(self, block: bytes, at: int, fields: list[tuple[bytes, bytes]], size: int) -> int:
        """Add the fields from ``at`` on. ``size`` is what those before come to at most; gives the same of all."""
        end = len(block)
        while at < end:
            first = block[at]
            if first & 0x80:  # indexed (6.1)
                index, at = (first & 127, at + 1) if first != 0xFF else decode_integer(block, at, 7)
                field = self._entry(index)
            elif first & 0x60 == 0x20:
                raise IndexError("a table size update is not at the start of its block")
            else:  # a literal with indexing (6.2.1; prefix of 6 bits), without (6.2.2), never indexed (6.2.3)
                mask = 0x3F if first & 0x40 else 0x0F
                index, at = first & mask, at + 1
                if index == mask:
                    index, at = decode_integer(block, at - 1, mask.bit_length())
                if index:
                    name = self._entry(index)[0]
                else:
                    length = block[at]
                    if length < 127 and at + length < end:  # short and not Huffman-coded
                        at += 1 + length
                        name = block[at - length : at]
                    else:
                        name, at = decode_string(block, at)
                length = block[at]
                if length < 127 and at + length < end:
                    at += 1 + length
                    value = block[at - length : at]
                else:
                    value, at = decode_string(block, at)
                field = (name, value)
                if mask == 0x3F:
                    self._table.add(field)
                    self._lasting = False
            fields.append(field)
            size += len(field[0]) + len(field[1]) + OVERHEAD
            if size > self._bomb and (size := _list_size(fields)) > self._bomb:
                raise _too_large(size)
        return size

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        """An entry of either table (section 2.3.3)."""
        if index >= _STATIC_LENGTH:
            self._lasting = False
        elif not index:
            raise IndexError("index 0")
        return self._fields[index]


def _list_size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum([len(name) + len(value) for name, value in fields]) + OVERHEAD * len(fields)


def _too_large(size: int) -> ConnectionFault:
    return ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a header list of {size} bytes or more")


def decode_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """An integer with a prefix of ``bits`` bits (section 5.1), and where what follows begins. Raises IndexError."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 35, 7):  # five octets more are plenty: sizes are below 2**31
        octet = block[at]
        at += 1
        value += (octet & 127) << shift
        if octet < 128:
            return value, at
    raise IndexError("an integer is too long")


def decode_string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string (section 5.2), and where what follows begins. Raises IndexError and HuffmanError."""
    first = block[at]
    if first & 127 != 127:
        at += 1
        end = at + (first & 127)
    else:
        length, at = decode_integer(block, at, 7)
        end = at + length
    if end > len(block):
        raise IndexError("a string ends after its block")
    return (huffman_decode(block[at:end]) if first & 0x80 else block[at:end]), end
