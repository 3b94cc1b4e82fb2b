"""YAML text -> one tree of nodes per document, each node knowing its line.

Read as YAML 1.2 (https://yaml.org/spec/1.2.2/, core schema): ``yes`` and ``on`` are text, only ``true`` and ``false``
are booleans, and a key may appear once. The text is cut at document markers first, so that one document that does not
parse does not take its neighbours with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .problems import Problem

__all__ = ["Document", "Entry", "Scalar", "describe", "line_of", "mapping_entries", "read_documents", "scalar"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where the wheel has it: ten times faster
_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%.*$", re.MULTILINE)
_MERGE_DEPTH = 8
_MANY = 5000  # a document with fewer openings than this cannot be too deep
_DEPTH = 200

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")  # longer ones are read as floats: no field takes them
_RADIX = re.compile(r"0o[0-7]{1,20}\Z|0x[0-9a-fA-F]{1,15}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its root node, and the number of lines of the file before the text it was parsed from."""

    root: Node
    base: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key: value`` of a mapping."""

    name: str
    key: Node
    value: Node


def read_documents(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    """The documents that parse, and a problem for each that does not. Empty documents are left out."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for base, chunk in _chunks(text):
        try:
            roots = list(yaml.compose_all(chunk, Loader=_LOADER)) if _is_shallow(chunk) else None
        except yaml.YAMLError as error:
            problems.append(_syntax_problem(error, base, file))
            continue
        if roots is None:
            problems.append(Problem(file, base + 1, "", f"nested more than {_DEPTH} levels deep"))
        else:
            documents += [Document(root, base) for root in roots if not _is_empty(root)]
    return documents, problems


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """The text of each document with the number of lines before it. ``---`` in column 0 is a marker even inside a
    block scalar (YAML 1.2.2 section 9.1.2), so cutting there is safe."""
    cuts = [0, *(match.start() for match in _MARKER.finditer(text)), len(text)]
    line = 0
    for start, end in pairwise(cuts):
        chunk = text[start:end]
        before_marker = start == 0 and end < len(text)
        yield line, _DIRECTIVE.sub("", chunk) if before_marker else chunk
        line += chunk.count("\n")


def _is_shallow(chunk: str) -> bool:
    """Whether the document can be composed: libyaml's composer recurses on the C stack and would end the process."""
    if sum(map(chunk.count, ("[", "{", "- ", "? ", ":"))) <= _MANY:
        return True
    depth = 0
    for event in yaml.parse(chunk, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            return False
    return True


def _is_empty(root: Node | None) -> bool:
    return root is None or (isinstance(root, ScalarNode) and not root.style and root.value in _NULLS)


def _syntax_problem(error: yaml.YAMLError, base: int, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = [str(word) for word in (getattr(error, "problem", None), getattr(error, "context", None)) if word]
    text = "not valid YAML: " + (", ".join(words) or str(error).splitlines()[0])
    return Problem(file, base + mark.line + 1 if mark else 0, "", text)


def line_of(node: Node, base: int) -> int:
    """The line of the file, counted from 1, at which ``node`` starts."""
    return int(node.start_mark.line) + 1 + base


def scalar(node: ScalarNode) -> Scalar:
    """The value of a scalar by the YAML 1.2 core schema. Quoted and block scalars are text whatever they look like."""
    text = str(node.value)
    if node.style:
        return text
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _NULLS:
        return None
    if _INTEGER.match(text):
        return int(text)
    if _RADIX.match(text):
        return int(text, 0)
    return float(text) if _FLOAT.match(text) else text


def describe(node: Node) -> str:
    """What a node is, in words, for "expected ..., found ..."."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    value = scalar(node) if isinstance(node, ScalarNode) else None
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    return f"the text {value!r}" if isinstance(value, str) else f"the number {node.value}"


def mapping_entries(node: MappingNode, depth: int = 0) -> tuple[list[Entry], list[Entry]]:
    """The entries of a mapping in order, merge keys (``<<``) resolved, and the entries whose key was there before."""
    entries: dict[str, Entry] = {}
    repeated: list[Entry] = []
    merged: list[Node] = []
    for key, value in node.value:
        name = str(key.value) if isinstance(key, ScalarNode) else describe(key)
        if name == "<<" and not key.style:
            merged += value.value if isinstance(value, SequenceNode) else [value]
        elif name in entries:
            repeated.append(Entry(name, key, value))
        else:
            entries[name] = Entry(name, key, value)
    for source in merged:
        if isinstance(source, MappingNode) and depth < _MERGE_DEPTH:
            for entry in mapping_entries(source, depth + 1)[0]:
                entries.setdefault(entry.name, entry)
    return list(entries.values()), repeated
