"""The numbers of HTTP/2 (RFC 9113): frame types, flags, settings, error codes."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final

__all__ = ["ErrorCode", "Role", "Setting"]


class Role(Enum):
    """Which end of the connection an engine plays."""

    CLIENT = "client"
    SERVER = "server"


class ErrorCode(IntEnum):
    """Why a stream or a connection ended (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD

    @classmethod
    def _missing_(cls, value: object) -> ErrorCode:
        """Unknown codes are to be treated as INTERNAL_ERROR (RFC 9113 section 7)."""
        return cls.INTERNAL_ERROR


class Setting(IntEnum):
    """SETTINGS parameters (RFC 9113 section 6.5.2)."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # section 3.4

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

MAX_WINDOW: Final = 2**31 - 1  # section 6.9.1
DEFAULT_WINDOW: Final = 65_535
DEFAULT_TABLE_SIZE: Final = 4096
MIN_FRAME_SIZE: Final = 16_384  # section 4.2
MAX_FRAME_SIZE: Final = 2**24 - 1
MAX_STREAM_ID: Final = 2**31 - 1
