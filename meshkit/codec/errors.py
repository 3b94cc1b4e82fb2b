"""What goes wrong with a message: `DecodeError` for bytes, `EncodeError` for values."""

from __future__ import annotations

__all__ = ["DecodeError", "EncodeError"]


class DecodeError(ValueError):
    """The bytes are not a message of the type.

    ``message`` is the type, ``path`` the dotted field ("" for the message itself), ``offset`` the byte in the input at
    which the field starts, ``reason`` what is wrong.
    """

    def __init__(self, message: str, path: str, offset: int, reason: str) -> None:
        self.message = message
        self.path = path
        self.offset = offset
        self.reason = reason
        super().__init__(message, path, offset, reason)

    def __str__(self) -> str:
        return f"{_place(self.message, self.path)}: {self.reason} at byte {self.offset}"


class EncodeError(ValueError):
    """The value cannot be written: a wrong type, or out of range.

    ``message``, ``path`` and ``reason`` as in `DecodeError`.
    """

    def __init__(self, message: str, path: str, reason: str) -> None:
        self.message = message
        self.path = path
        self.reason = reason
        super().__init__(message, path, reason)

    def __str__(self) -> str:
        return f"{_place(self.message, self.path)}: {self.reason}"


def _place(message: str, path: str) -> str:
    return f"{message}.{path}" if path else message
