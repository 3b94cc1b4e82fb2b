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


class Encoder:
    """Fields to blocks. A table that nothing is put into needs no upkeep but one word when the peer shrinks it."""

    __slots__ = ("_blocks", "_names", "_update")

    _REMEMBERED: Final = 512
    _LONGEST: Final = 2048

    def __init__(self) -> None:
        self._blocks: dict[RawHeaders, bytes] = {}
        self._names: dict[bytes, bytes] = {}
        self._update = b""

    def table_size_shrunk(self) -> None:
        """The peer allows a smaller table than before: the next block must say that we know (section 4.2)."""
        self._update = b"\x20"  # size update to 0: we use none

    def encode(self, fields: RawHeaders) -> bytes:
        """The block of ``fields`` (a tuple, names in lower case)."""
        block = self._blocks.get(fields)
        if block is None:
            block = self._remember(fields)
        if self._update:
            block, self._update = self._update + block, b""
        return block

    def _remember(self, fields: RawHeaders) -> bytes:
        block = b"".join([self._field(field) for field in fields])
        if len(self._blocks) >= self._REMEMBERED:
            del self._blocks[next(iter(self._blocks))]
        if len(block) <= self._LONGEST:
            self._blocks[fields] = block
        return block

    def _field(self, field: tuple[bytes, bytes]) -> bytes:
        index = STATIC_FIELDS.get(field)
        if index is not None:
            return bytes((0x80 | index,))  # indexed field (section 6.1)
        name, value = field
        return self._name(name) + encode_integer(len(value), 7, 0) + value

    def _name(self, name: bytes) -> bytes:
        """The start of a literal without indexing (section 6.2.2)."""
        found = self._names.get(name)
        if found is None:
            index = STATIC_NAMES.get(name)
            found = encode_integer(index, 4, 0) if index else b"\x00" + encode_integer(len(name), 7, 0) + name
            if len(self._names) < self._REMEMBERED:
                self._names[name] = found
        return found


class Decoder:
    """Blocks to fields, within ``max_list`` bytes (each field counted with 32 more)."""

    __slots__ = ("_at", "_block", "_max_list", "_pure", "_table")

    def __init__(self, table_size: int, max_list: int) -> None:
        self._table = DynamicTable(table_size)
        self._max_list = max_list
        self._block = b""
        self._at = 0
        self._pure = True

    def decode(self, block: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bool]:
        """The fields, and whether the block may be remembered: it neither read nor changed the dynamic table.

        Raises ConnectionFault (COMPRESSION_ERROR; ENHANCE_YOUR_CALM for a bomb) and HeaderListTooLarge.
        """
        self._block, self._at, self._pure = block, 0, True
        fields: list[tuple[bytes, bytes]] = []
        size = 0
        try:
            self._size_updates()
            while self._at < len(block):
                field = self._field()
                size += len(field[0]) + len(field[1]) + OVERHEAD
                if size <= self._max_list:
                    fields.append(field)
                elif size > _BOMB * self._max_list:
                    raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a header list of more than {size} bytes")
        except (IndexError, HuffmanError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"HPACK: {error}") from None
        if size > self._max_list:
            raise HeaderListTooLarge
        return tuple(fields), self._pure

    def _size_updates(self) -> None:
        """Section 4.2: only at the start of a block."""
        block = self._block
        while self._at < len(block) and block[self._at] & 0xE0 == 0x20:
            size = self._integer(5)
            if size > self._table.limit:
                raise IndexError(f"table size update to {size}, over the limit of {self._table.limit}")
            self._table.resize(size)
            self._pure = False

    def _field(self) -> tuple[bytes, bytes]:
        first = self._block[self._at]
        if first & 0x80:  # indexed (6.1)
            return self._entry(self._integer(7))
        if first & 0x40:  # literal with incremental indexing (6.2.1)
            field = self._literal(6)
            self._table.add(field)
            self._pure = False
            return field
        if first & 0x20:
            raise IndexError("a table size update is not at the start of its block")
        return self._literal(4)  # without indexing (6.2.2), never indexed (6.2.3)

    def _literal(self, bits: int) -> tuple[bytes, bytes]:
        index = self._integer(bits)
        name = self._entry(index)[0] if index else self._string()
        return name, self._string()

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if index >= _STATIC_LENGTH:
            self._pure = False
            return self._table[index - _STATIC_LENGTH]
        if index == 0:
            raise IndexError("index 0")
        return STATIC[index]

    def _integer(self, bits: int) -> int:
        most = (1 << bits) - 1
        value = self._block[self._at] & most
        self._at += 1
        if value < most:
            return value
        for shift in range(0, 35, 7):  # five octets more are plenty: sizes are below 2**31
            octet = self._block[self._at]
            self._at += 1
            value += (octet & 127) << shift
            if octet < 128:
                return value
        raise IndexError("an integer is too long")

    def _string(self) -> bytes:
        huffman = self._block[self._at] & 0x80
        length = self._integer(7)
        end = self._at + length
        if end > len(self._block):
            raise IndexError("a string ends after its block")
        raw = self._block[self._at : end]
        self._at = end
        return huffman_decode(raw) if huffman else raw
