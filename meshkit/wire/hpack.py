"""HPACK (RFC 7541): header blocks to fields and back.

Our encoder indexes nothing: it names static entries and writes the rest as literals, so that equal headers are equal
blocks and each distinct one is encoded once (`Encoder`). A decoder likewise remembers blocks that neither read nor
change the dynamic table (`Decoder`): they mean the same whenever they come.
"""

from __future__ import annotations

from typing import Final

from meshkit.metadata import RawHeaders

from .codes import ErrorCode
from .faults import ConnectionFault
from .hpack_table import OVERHEAD, STATIC, STATIC_FIELDS, STATIC_NAMES, DynamicTable
from .huffman import HuffmanError, huffman_decode

__all__ = ["Decoder", "Encoder", "HeaderListTooLarge"]

_STATIC_LENGTH: Final = len(STATIC)
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
    """A block with its frame's head: length, type and flags, without and with END_STREAM; the stream comes between."""

    __slots__ = ("block", "ending", "open", "size")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self.size = len(block) + 9
        head = len(block).to_bytes(3, "big") + b"\x01"
        self.open = head + b"\x04"  # END_HEADERS
        self.ending = head + b"\x05"  # and END_STREAM


class Encoder:
    """Fields to blocks. A table that nothing is put into needs no upkeep but one word when the peer shrinks it.

    ``frames``: the frames of header lists encoded lately, ready to be written.
    """

    __slots__ = ("_fields", "_update", "frames")

    _LISTS: Final = 64  # remembered, and no longer than this:
    _LONGEST: Final = 1024
    _FIELDS: Final = 256

    def __init__(self) -> None:
        self.frames: dict[RawHeaders, HeadersFrame] = {}
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

    __slots__ = ("_max_list", "_same", "_table")

    def __init__(self, table_size: int, max_list: int) -> None:
        self._table = DynamicTable(table_size)
        self._max_list = max_list
        self._same = True

    def decode(self, block: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
        """The fields, and whether the block left the dynamic table as it was.

        Raises ConnectionFault (COMPRESSION_ERROR; ENHANCE_YOUR_CALM for a bomb) and HeaderListTooLarge.
        """
        self._same = True
        try:
            fields, size = self._fields(block, self._size_updates(block))
        except (IndexError, HuffmanError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"HPACK: {error}") from None
        if size > self._max_list:
            raise HeaderListTooLarge
        return tuple(fields), self._same

    def _size_updates(self, block: bytes) -> int:
        """Section 4.2: only at the start of a block. Gives where the fields begin."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size, at = decode_integer(block, at, 5)
            if size > self._table.limit:
                raise IndexError(f"table size update to {size}, over the limit of {self._table.limit}")
            self._table.resize(size)
            self._same = False
        return at

    def _fields(self, block: bytes, at: int) -> tuple[list[tuple[bytes, bytes]], int]:
        """The fields from ``at`` on as far as the limit allows, and the size of all of them."""
        fields: list[tuple[bytes, bytes]] = []
        end, size, most = len(block), 0, self._max_list
        while at < end:
            first = block[at]
            if first & 0x80:  # indexed (6.1)
                index, at = (first & 127, at + 1) if first != 0xFF else decode_integer(block, at, 7)
                name, value = STATIC[index] if 0 < index < _STATIC_LENGTH else self._entry(index)
            elif first & 0x60 == 0x20:
                raise IndexError("a table size update is not at the start of its block")
            else:  # a literal with indexing (6.2.1; prefix of 6 bits), without (6.2.2), never indexed (6.2.3)
                mask = 0x3F if first & 0x40 else 0x0F
                index, at = first & mask, at + 1
                if index == mask:
                    index, at = decode_integer(block, at - 1, mask.bit_length())
                if index:
                    name = (STATIC[index] if index < _STATIC_LENGTH else self._entry(index))[0]
                else:
                    name, at = decode_string(block, at)
                length = block[at]
                if length < 127 and at + length < end:  # short and not Huffman-coded
                    at += 1 + length
                    value = block[at - length : at]
                else:
                    value, at = decode_string(block, at)
                if mask == 0x3F:
                    self._table.add((name, value))
                    self._same = False
            size += len(name) + len(value) + OVERHEAD
            if size <= most:
                fields.append((name, value))
            elif size > _BOMB * most:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a header list of more than {size} bytes")
        return fields, size

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        """An entry of the dynamic table (section 2.3.3)."""
        if index < _STATIC_LENGTH:
            raise IndexError(f"index {index}")
        return self._table[index - _STATIC_LENGTH]


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
