"""The resources of a folder of YAML files, and of each the last version that was good.

Rules: a document with an error keeps the version of its resource that was in force before; a document that cannot be
told (bad syntax, no name) keeps everything the file gave before; a file or a document that is gone takes its resources
with it. Of two documents with one identity the first counts, files in the order of their names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .documents import read_documents
from .kinds import Parsed, foreign_problem, parse
from .model import Resource
from .problems import Problem

__all__ = ["Library", "read_folder"]

_SUFFIXES = (".yaml", ".yml")
_Identity = tuple[str, str, str]


@dataclass(slots=True)
class _File:
    content: bytes | Problem
    good: dict[_Identity, Resource] = field(default_factory=dict[_Identity, Resource])
    problems: list[Problem] = field(default_factory=list[Problem])


class Library:
    """Resources in force, and what was found wrong. `update` is given the whole folder each time and reads anew only
    the files whose bytes changed."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self.resources: dict[_Identity, Resource] = {}
        self.problems: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        return f"Library(files={len(self._files)}, resources={len(self.resources)}, problems={len(self.problems)})"

    def update(self, contents: Mapping[str, bytes | Problem]) -> bool:
        """Take in the folder as it is now: the bytes of each file by name, or why it could not be read.

        True if the resources in force or the problems changed.
        """
        before = (self.resources, self.problems)
        self._files = {name: self._read(name, contents[name]) for name in sorted(contents)}
        self.resources, repeated = _merge(self._files.values())
        self.problems = tuple(problem for file in self._files.values() for problem in file.problems) + repeated
        return before != (self.resources, self.problems)

    def _read(self, name: str, content: bytes | Problem) -> _File:
        old = self._files.get(name)
        if old is not None and old.content == content:
            return old
        if isinstance(content, Problem):
            return _File(content, dict(old.good) if old else {}, [content])
        file = _File(content)
        parsed = _parse_file(name, content, file.problems)
        previous = self.resources | (old.good if old else {})
        _keep_good(parsed, file, previous)
        if old is not None and not all(one.meta or one.foreign for one in parsed):
            file.good = old.good | file.good
        return file


def _parse_file(name: str, content: bytes, problems: list[Problem]) -> list[Parsed]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problems.append(Problem(name, line, "", "not UTF-8 text"))
        return [Parsed()]
    documents, unreadable = read_documents(text, name)
    problems += unreadable
    parsed = [parse(document, name) for document in documents] + [Parsed() for _ in unreadable]
    for one in parsed:
        problems += one.problems
    if foreign := [one.foreign for one in parsed if one.foreign]:
        problems.append(foreign_problem(name, foreign))
    return parsed


def _keep_good(parsed: Iterable[Parsed], file: _File, previous: Mapping[_Identity, Resource]) -> None:
    for one in parsed:
        if one.meta is not None:
            resource = one.resource or previous.get(one.meta.identity)
            if resource is not None:
                file.good.setdefault(one.meta.identity, resource)


def _merge(files: Iterable[_File]) -> tuple[dict[_Identity, Resource], tuple[Problem, ...]]:
    resources: dict[_Identity, Resource] = {}
    repeated: list[Problem] = []
    for file in files:
        for identity, resource in file.good.items():
            first = resources.setdefault(identity, resource).meta
            if (first.file, first.line) != (resource.meta.file, resource.meta.line):
                words = f"is also in {first.file}:{first.line}, which counts"
                repeated.append(Problem(resource.meta.file, resource.meta.line, "", words, str(resource.meta)))
    return resources, tuple(repeated)


def read_folder(directory: Path) -> dict[str, bytes | Problem]:
    """The YAML files below ``directory`` by their path in it; names that start with a dot are not looked at.

    A file that vanishes while reading is left out. Raises OSError where the folder itself cannot be listed.
    """
    contents: dict[str, bytes | Problem] = {}

    def refused(error: OSError) -> None:
        if Path(error.filename) == directory:
            raise error
        name = str(Path(error.filename).relative_to(directory))
        contents[name] = Problem(name, 0, "", f"cannot be read: {error.strerror}")

    for folder, folders, files in os.walk(directory, onerror=refused):  # does not follow links to folders
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            path = Path(folder, file)
            if path.suffix in _SUFFIXES and not file.startswith(".") and path.is_file():
                _read_file(path, str(path.relative_to(directory)), contents)
    return contents


def _read_file(path: Path, name: str, contents: dict[str, bytes | Problem]) -> None:
    try:
        contents[name] = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        contents[name] = Problem(name, 0, "", f"cannot be read: {error.strerror}")
