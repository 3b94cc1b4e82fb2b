"""Source information of a proto file: comments and places. Absent in descriptor sets made without it, which is fine."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.descriptor_pb2 import FileDescriptorProto, SourceCodeInfo

__all__ = ["SourceInfo", "docstring_text"]


class SourceInfo:
    """Comments and line numbers of one file, by the path of a descriptor (descriptor.proto, SourceCodeInfo)."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._name = file.name
        self._locations: dict[tuple[int, ...], SourceCodeInfo.Location] = {}
        for location in file.source_code_info.location:
            self._locations.setdefault(tuple(location.path), location)

    def comment(self, path: Sequence[int]) -> str:
        """The comments written before and behind the thing at ``path``; detached ones belong to nobody."""
        location = self._locations.get(tuple(path))
        if location is None:
            return ""
        parts = (location.leading_comments, location.trailing_comments)
        return "\n\n".join(text for text in map(_clean, parts) if text)

    def place(self, path: Sequence[int]) -> str:
        """ "file:line" of the thing at ``path``, or only the file where the line is not known."""
        location = self._locations.get(tuple(path))
        return f"{self._name}:{location.span[0] + 1}" if location and location.span else self._name


def _clean(comment: str) -> str:
    lines = [line.rstrip().expandtabs(4) for line in comment.split("\n")]
    lines = [line[1:] if line.startswith(" ") else line for line in lines]
    return "\n".join(lines).strip("\n")


def docstring_text(comment: str) -> str:
    """``comment`` as it may stand between triple quotes: nothing in it can end the literal or hide in it."""
    escaped = comment.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.endswith('"'):
        escaped = f'{escaped[:-1]}\\"'
    return "".join(char if char == "\n" or char.isprintable() else _escape(char) for char in escaped)


def _escape(char: str) -> str:
    # Control and direction characters: legal in a comment, misleading or illegal in source.
    return char.encode("unicode_escape").decode("ascii")
