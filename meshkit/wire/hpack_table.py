"""HPACK's tables (RFC 7541 section 2.3): the static one, and the dynamic one that a decoder keeps."""

from __future__ import annotations

from typing import Final

__all__ = ["STATIC", "STATIC_FIELDS", "STATIC_NAMES", "Table"]

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
_LARGEST_STATIC: Final = max([len(name) + len(value) + OVERHEAD for name, value in STATIC])


class Table:
    """Both tables as the one index space that blocks use (section 2.3.3): the static entries, then the dynamic ones,
    the newest first. ``fields[0]`` stands for no field. ``limit`` is the size that our SETTINGS allow, ``most`` what
    the encoder chose of it; no entry there has been larger than ``largest``."""

    __slots__ = ("_size", "fields", "largest", "limit", "most")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.most = limit
        self.largest = _LARGEST_STATIC
        self.fields: list[tuple[bytes, bytes]] = list(STATIC)
        self._size = 0

    def add(self, field: tuple[bytes, bytes]) -> None:
        """Insert an entry, evicting old ones; one larger than the table empties it (section 4.4)."""
        self.fields.insert(len(STATIC), field)
        size = len(field[0]) + len(field[1]) + OVERHEAD
        if size > self.largest:
            self.largest = size
        self._size += size
        if self._size > self.most:
            self._evict()

    def resize(self, most: int) -> None:
        """The encoder's table size update (section 6.3); ``most`` is within ``limit``."""
        self.most = most
        self._evict()

    def _evict(self) -> None:
        while self._size > self.most:
            name, value = self.fields.pop()
            self._size -= len(name) + len(value) + OVERHEAD
