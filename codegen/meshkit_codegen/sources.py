"""Which proto files a run is about, and where their imports start."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ProtoError

__all__ = ["Sources"]

_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sources:
    """``names`` are the files as imports name them ("helloworld/v1/greeter.proto"), ``roots`` the folders to search."""

    names: tuple[str, ...]
    roots: tuple[Path, ...]

    @classmethod
    def find(cls, given: Sequence[Path], proto_path: Sequence[Path]) -> Sources:
        """The proto files ``given``: files, folders of them, or names below ``proto_path``. Raises `ProtoError`.

        Without ``proto_path`` a folder is its own root, and a file's root is the folder above those of its package.
        """
        for root in proto_path:
            if not root.is_dir():
                raise ProtoError(f"{root}: --proto-path names no folder")
        roots = tuple(proto_path) or tuple(dict.fromkeys(map(_root, given)))
        names = (_name(path, roots) for place in given for path in _files(place, roots))
        found = cls(tuple(dict.fromkeys(names)), roots)
        if not found.names:
            raise ProtoError("no proto files given")
        return found

    def arguments(self) -> list[str]:
        """protoc's arguments for these files."""
        return [*(f"-I{root}" for root in self.roots), *(str(self.locate(name) or name) for name in self.names)]

    def locate(self, name: str) -> Path | None:
        """The file on disk that an import of ``name`` finds, or None."""
        return next((root / name for root in self.roots if (root / name).is_file()), None)

    def with_names(self, more: Sequence[str]) -> Sources:
        """These sources and the files ``more``."""
        return Sources(tuple(dict.fromkeys((*self.names, *more))), self.roots)


def _root(given: Path) -> Path:
    if given.is_dir():
        return given
    if not given.is_file():
        raise ProtoError(f"{given}: no such file or folder")
    package = _PACKAGE.search(given.read_text(encoding="utf-8", errors="replace"))
    parts = tuple(package[1].split(".")) if package else ()
    inside = parts and _absolute(given).parent.parts[-len(parts) :] == parts
    return _shown(given, _absolute(given).parents[len(parts)]) if inside else given.parent


def _shown(given: Path, root: Path) -> Path:
    # Errors name files as roots do: stay relative where the user was.
    return root if given.is_absolute() else Path(os.path.relpath(root))


def _files(given: Path, roots: Sequence[Path]) -> Iterator[Path]:
    if given.is_dir():
        found = sorted(given.rglob("*.proto"))
        if not found:
            raise ProtoError(f"{given}: no .proto files in this folder")
        yield from found
    elif given.is_file():
        yield given
    else:
        yield _below(given, roots)


def _below(given: Path, roots: Sequence[Path]) -> Path:
    for root in roots:
        if (root / given).is_file():
            return root / given
    raise ProtoError(f"{given}: no such file, neither here nor below {', '.join(map(str, roots))}")


def _name(path: Path, roots: Sequence[Path]) -> str:
    for root in roots:
        if _absolute(path).is_relative_to(_absolute(root)):
            return _absolute(path).relative_to(_absolute(root)).as_posix()
    raise ProtoError(
        f"{path}: outside of --proto-path ({', '.join(map(str, roots))}), so it has no name to be imported by"
    )


def _absolute(path: Path) -> Path:
    # Not resolve(): a symbolic link into a root is a file of that root, as for protoc.
    return Path(os.path.normpath(Path.cwd() / path))
