"""Protobuf at compiled speed: encode and decode functions generated once per message class or table."""

from .build import maker
from .errors import DecodeError, EncodeError
from .memo import Memo, Run, Runs
from .registry import Codec, codec_for, register
from .schema import Field, Schema
from .table import TableCodec, compile_schema, finish
from .wellknown import ANY, EMPTY, STATUS, Any, Empty, Status

__all__ = [
    "ANY",
    "EMPTY",
    "STATUS",
    "Any",
    "Codec",
    "DecodeError",
    "Empty",
    "EncodeError",
    "Field",
    "Memo",
    "Run",
    "Runs",
    "Schema",
    "Status",
    "TableCodec",
    "codec_for",
    "compile_schema",
    "finish",
    "maker",
    "register",
]
