"""HPACK's tables (RFC 7541 section 2.3): the static one, and the dynamic one that a decoder keeps."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["STATIC", "STATIC_FIELDS", "STATIC_NAMES", "DynamicTable"]

OVERHEAD: Final = 32  # section 4.1: what an entry counts beside its name and value

# Appendix A; index 1 is the first.
STATIC: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"", b""),
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)
STATIC_FIELDS: Final[dict[tuple[bytes, bytes], int]] = {
    field: index for index, field in enumerate(STATIC) if index and field[1]
}
STATIC_NAMES: Final[dict[bytes, int]] = {field[0]: index for index, field in reversed(list(enumerate(STATIC))) if index}


class DynamicTable:
    """The newest entry first. ``limit`` is the size allowed by our SETTINGS, ``most`` what the encoder chose of it."""

    __slots__ = ("_entries", "_size", "limit", "most")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.most = limit
        self._size = 0
        self._entries: deque[tuple[bytes, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> tuple[bytes, bytes]:
        """The entry of an index after the static table's; IndexError if there is none."""
        return self._entries[index]

    def add(self, field: tuple[bytes, bytes]) -> None:
        """Insert an entry, evicting old ones; one larger than the table empties it (section 4.4)."""
        self._entries.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + OVERHEAD
        self._evict()

    def resize(self, most: int) -> None:
        """The encoder's table size update (section 6.3); ``most`` is within ``limit``."""
        self.most = most
        self._evict()

    def _evict(self) -> None:
        while self._size > self.most:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + OVERHEAD
