"""What the parts of a generator share: the text under way, the names it may use, the schema it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .leaves import leaf_schema
from .schema import WIRE_TYPES, Field, Schema
from .text import Text

__all__ = ["Frame", "Level", "is_bulk", "is_message_map", "is_pieced", "read_fields", "value_field"]


class Frame:
    """One function under way.

    ``scope`` is its globals; ``link(kind, schema)`` gives the name in there of another schema's function.
    """

    def __init__(self, schema: Schema, link: Callable[[str, Schema], str]) -> None:
        self.schema = schema
        self.link = link
        self.text = Text()
        self.scope: dict[str, Any] = {"places": self.text.place_of}
        self._constants = 0

    @property
    def keeps(self) -> bool:
        """Whether the objects keep unknown fields; those that do not have unprojected fields counted."""
        return bool(self.schema.unknown)

    def constant(self, name: str, value: Any) -> str:
        """A name in the scope, starting with ``name``, for ``value``."""
        for known, other in self.scope.items():
            if other is value and known.startswith(name):
                return known
        self._constants += 1
        unique = f"{name}_{self._constants}"
        self.scope[unique] = value
        return unique

    def convert(self, field: Field, target: str) -> None:
        """Apply the field's conversion to the local ``target``."""
        if field.convert is not None:
            self.text.add(f"{target} = {self.constant('convert_' + field.name, field.convert)}({target})")

    def own_list(self, field: Field) -> None:
        """A tuple-valued field starts as the empty tuple and becomes a list with its first item."""
        if self.schema.sequence is tuple:
            self.text.add(f"if not _{field.name}:", f"    _{field.name} = []")

    def append(self, field: Field) -> None:
        """Add the local ``value`` to a repeated field."""
        self.own_list(field)
        self.text.add(f"_{field.name}.append(value)")

    def is_merged(self, field: Field) -> bool:
        """A singular message whose object can take more fields later."""
        return self.keeps and field.kind == "message" and not field.repeated

    def is_spanned(self, field: Field) -> bool:
        """A singular message of which later occurrences are read together with the first one's bytes."""
        return is_pieced(field) and not self.is_merged(field)

    def adopt(self, level: Level, field: Field) -> None:
        """Names of unprojected fields in the sub-message just read belong to this one, under its path."""
        if not self.keeps and (field.kind == "message" or (field.kind == "map" and field.value == "message")):
            self.text.add("if inner:", f"    adopt(found, inner, {level.path + field.name!r})")


class Level:
    """The message itself, or an inline sub-message: its schema, the suffix of its locals, the path to it."""

    def __init__(self, schema: Schema, number: int = 0, path: str = "") -> None:
        self.schema = schema
        self.number = number
        self.path = path
        self.tag = f"tag_{number}" if number else "tag"
        self.end = f"end_{number}" if number else "end"

    def inside(self, field: Field) -> Level:
        """The level of an inline field."""
        return Level(field.target, self.number + 1, f"{self.place(field)}.")

    def place(self, field: Field) -> str:
        """The dotted path of a field; an inline one without a name goes by its type."""
        return self.path + (field.name or field.target.type_name)

    def names(self) -> dict[int, str]:
        """Field numbers to paths, for errors."""
        return {field.number: self.place(field) for field in self.schema.fields if field.kind != "ignore"}

    def others(self) -> dict[int, str]:
        """What to call a field that is not projected; "" for one that is not to be counted."""
        return {**self.schema.others, **{field.number: "" for field in self.schema.fields if field.kind == "ignore"}}


def is_bulk(schema: Schema, above: tuple[Schema, ...] = ()) -> bool:
    """Whether the message, or one inside it, has a bulk field: its decoder can pause."""
    if schema in above:
        return False
    return any(
        field.bulk or (isinstance(field.schema, Schema) and is_bulk(field.schema, (*above, schema)))
        for field in schema.fields
    )


def read_fields(schema: Schema) -> list[Field]:
    """The fields that become values, in table order: inline ones are replaced by what they lift."""
    fields: list[Field] = []
    for field in schema.fields:
        if field.kind == "inline":
            fields += [Field(field.name, field.number, "bool")] if field.name else []
            fields += read_fields(field.target)
        elif field.kind != "ignore":
            fields.append(field)
    return fields


def is_pieced(field: Field) -> bool:
    """A singular length-delimited value that is merged when it comes more than once."""
    return not field.repeated and (field.kind in ("message", "raw") or leaf_schema(field.kind, field.value) is not None)


def is_message_map(field: Field) -> bool:
    """Whether the values of a map are messages of some kind."""
    return WIRE_TYPES[field.value] == 2 and field.value not in ("string", "bytes", "raw")


def value_field(field: Field) -> Field:
    """The values of a map as a field of the entry."""
    return Field(field.name, 2, field.value, schema=field.schema, value=field.wraps)
