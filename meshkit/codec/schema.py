"""Tables that describe messages: what the generator of `meshkit.codec.program` compiles.

A `Schema` names the fields of one message, what they are called in Python, and what builds the object. Tables are
written by hand for our own classes (a *projection*: only the fields we use), or read from a betterproto2 class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, cast

__all__ = ["ABSENT", "PACKABLE", "WIRE_TYPES", "Field", "Schema", "zero"]

# Kind -> wire type: 0 varint, 1 64 bits, 2 length-delimited, 5 32 bits
# (https://protobuf.dev/programming-guides/encoding/#structure).
_SCALARS: Final = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool", "enum"), 0),
    **dict.fromkeys(("fixed64", "sfixed64", "double"), 1),
    **dict.fromkeys(("fixed32", "sfixed32", "float"), 5),
    **dict.fromkeys(("string", "bytes"), 2),
}
# Well-known types that stand for a Python value, and the other shapes of a length-delimited field.
_LEAVES: Final = ("wrapper", "duration", "timestamp", "timedelta", "datetime")
_SHAPES: Final = ("message", "inline", "raw", "map", "ignore", *_LEAVES)
WIRE_TYPES: Final[Mapping[str, int]] = MappingProxyType({**_SCALARS, **dict.fromkeys(_SHAPES, 2)})
PACKABLE: Final = frozenset(kind for kind, wire_type in _SCALARS.items() if wire_type != 2)
_ZEROS: Final[dict[str, Any]] = {"string": "", "bytes": b"", "bool": False, "float": 0.0, "double": 0.0}


class _Absent:
    """The type of `ABSENT`: no default was given."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its Python ``name``, its ``number`` on the wire, and its ``kind``.

    Kinds are the scalar types of protobuf, and ``message``; ``map``; ``raw`` (a sub-message kept as its bytes, None
    when absent); ``inline`` (a sub-message whose fields become the parent's; decode only); ``wrapper``
    (google.protobuf.*Value as the value, None when absent); ``duration`` and ``timestamp`` (float seconds or None);
    ``timedelta`` and ``datetime``; ``ignore`` (known, not read, not counted as unprojected).
    """

    name: str
    number: int
    kind: str
    repeated: bool = field(default=False, kw_only=True)
    #: A scalar with presence: None when absent. Messages and members of a oneof always have presence.
    optional: bool = field(default=False, kw_only=True)
    #: Members of one oneof: the last on the wire wins, the others become None.
    oneof: str = field(default="", kw_only=True)
    #: The value when absent; a value equal to it is not written unless the field has presence.
    default: Any = field(default=ABSENT, kw_only=True)
    #: For ``message``, ``inline`` and maps of messages; a callable for a forward or recursive reference.
    schema: Schema | Callable[[], Schema] | None = field(default=None, kw_only=True)
    #: Kind of a map's keys.
    key: str = field(default="string", kw_only=True)
    #: Kind of a map's values, or of what a ``wrapper`` wraps.
    value: str = field(default="string", kw_only=True)
    #: What the values of a map wrap, where ``value`` is ``wrapper``.
    wraps: str = field(default="string", kw_only=True)
    #: For ``enum`` (and maps of enums): numbers become members; a number without a member stays an int.
    enum: type[Enum] | None = field(default=None, kw_only=True)
    #: Applied to the value when present, to each item when repeated. Such a field cannot be encoded.
    convert: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    #: A repeated message that may have thousands of items: `sliced` decoding pauses in it and a `Memo` remembers it.
    bulk: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.kind not in WIRE_TYPES:
            raise ValueError(f"field {self.name!r}: unknown kind {self.kind!r}")
        if not 0 < self.number < 1 << 29:
            raise ValueError(f"field {self.name!r}: number {self.number} is out of range")
        if self.kind in ("message", "inline") and self.schema is None:
            raise ValueError(f"field {self.name!r}: a {self.kind} field needs a schema")
        if self.bulk and not (self.repeated and self.kind == "message"):
            raise ValueError(f"field {self.name!r}: only a repeated message field is bulk")

    @property
    def present(self) -> bool:
        """Whether absence is told apart from the default: the field is None when absent."""
        return not self.repeated and (self.optional or bool(self.oneof) or self.kind in ("message", "raw", *_LEAVES))

    @property
    def target(self) -> Schema:
        """The schema of a sub-message."""
        if isinstance(self.schema, Schema):
            return self.schema
        if self.schema is None:
            raise ValueError(f"field {self.name!r} has no schema")
        return self.schema()

    @property
    def tag(self) -> int:
        """The field's key on the wire, unpacked form."""
        return self.number << 3 | WIRE_TYPES[self.kind]

    @property
    def missing(self) -> Any:
        """The value of a singular field that is absent."""
        if self.default is not ABSENT:
            return self.default
        return None if self.present else zero(self.kind, self.enum)


@dataclass(frozen=True, eq=False)
class Schema:
    """One message. ``name`` is its full protobuf name, for errors.

    ``build`` makes the object: a dataclass (by field name; its own defaults are not used), any other callable (called
    with the values in table order), or None for a generated NamedTuple. ``others`` names wire fields that are known
    but not projected. ``sequence`` is what repeated fields become. ``unknown`` is an attribute that keeps unknown
    fields as bytes.
    """

    name: str
    fields: tuple[Field, ...]
    build: Callable[..., Any] | None = None
    others: Mapping[int, str] = field(default_factory=dict[int, str])
    sequence: type[tuple[Any, ...]] | type[list[Any]] = tuple
    unknown: str = ""

    @property
    def type_name(self) -> str:
        """The last part of the name: ``LbEndpoint``."""
        return self.name.rpartition(".")[2]


def zero(kind: str, enum: type[Enum] | None = None) -> Any:
    """The value of an absent scalar of ``kind`` without presence."""
    if kind == "enum" and enum is not None:
        return cast("dict[int, Any]", enum._value2member_map_).get(0, 0)
    return _ZEROS.get(kind, 0)
