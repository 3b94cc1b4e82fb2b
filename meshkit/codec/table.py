"""Codecs of our own classes: what `compile_schema` makes of a table."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Generator
from functools import cache, cached_property
from typing import Any, TypeVar

from .frame import is_bulk
from .memo import Memo
from .program import function
from .schema import Schema

__all__ = ["TableCodec", "compile_schema", "finish"]

T = TypeVar("T")

# Deepest nesting of messages, as in every protobuf implementation.
_DEPTH = 100


class TableCodec:
    """Reads and writes the objects that a `Schema` builds; ``encode`` takes any object with the fields' attributes."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.type: Any = schema.build if isinstance(schema.build, type) else object

    @cached_property
    def encode(self) -> Callable[[Any], bytes]:
        """The object's bytes. `EncodeError` for a value of the wrong type or out of range."""
        return function("encode", self.schema)

    @cached_property
    def _decode(self) -> Callable[..., Any]:
        return function("decode", self.schema)

    @cached_property
    def _pauses(self) -> bool:
        return is_bulk(self.schema)

    @property
    def source(self) -> str:
        """The text of the generated decode function."""
        return inspect.getsource(self._decode)

    def decode(self, data: bytes, unprojected: dict[str, int] | None = None, memo: Memo | None = None) -> Any:
        """The object; `DecodeError` for bytes that are none.

        ``unprojected`` counts fields on the wire that the table does not have, by dotted path. ``memo`` remembers bulk
        fields between decodes of one resource.
        """
        if self._pauses:
            return finish(self.sliced(data, unprojected, memo))
        found: list[str] | None = None if unprojected is None else []
        decoded = self._decode(bytes(data), 0, len(data), _DEPTH, found)
        if found and unprojected is not None:
            _count(found, unprojected)
        return decoded

    def sliced(
        self, data: bytes, unprojected: dict[str, int] | None = None, memo: Memo | None = None
    ) -> Generator[int, None, Any]:
        """`decode` in slices: pauses after each 64 items decoded of a bulk field, yielding their number."""
        if not self._pauses:
            return self.decode(data, unprojected)
        found: list[str] | None = None if unprojected is None else []
        data = bytes(data)
        if memo is not None:
            yield from memo.begin(data)
        steps: Generator[int, None, Any] = self._decode(data, 0, len(data), _DEPTH, found, memo)
        decoded = yield from steps
        if memo is not None:
            memo.commit()
        if found and unprojected is not None:
            _count(found, unprojected)
        return decoded


def _count(found: list[str], unprojected: dict[str, int]) -> None:
    for path, number in Counter(found).items():
        unprojected[path] = unprojected.get(path, 0) + number


def finish(steps: Generator[int, None, T]) -> T:
    """The result of sliced work, without its pauses."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


@cache
def compile_schema(schema: Schema) -> TableCodec:
    """The codec of ``schema``. Cheap: functions are generated when first used."""
    return TableCodec(schema)
