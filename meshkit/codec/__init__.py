"""Protobuf at compiled speed: encode and decode functions generated once per message class or table."""

from .errors import DecodeError, EncodeError
from .schema import Field, Schema

__all__ = ["DecodeError", "EncodeError", "Field", "Schema"]
