"""Descriptors that generated modules carry, for reflection and for tools, as bytes of ``FileDescriptorProto``.

A module's own file keeps its comments (that is what ``describe`` shows) but no other source location: spans of every
token would be most of the bytes. The files it imports are embedded without any source information: well-known types
would bring many times the service's size in comments, and a file with services has them in its own module. They are
embedded, not imported from sibling modules: whether a sibling exists depends on which files a run was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from google.protobuf.descriptor_pb2 import FileDescriptorProto, SourceCodeInfo

from .errors import ProtoError

__all__ = ["bare", "dependencies", "with_comments"]


def with_comments(file: FileDescriptorProto) -> bytes:
    """``file`` serialized; of its source information only the comments of named things."""
    copy = FileDescriptorProto()
    copy.CopyFrom(file)
    copy.ClearField("source_code_info")
    copy.source_code_info.location.extend(_commented(file))
    if not copy.source_code_info.location:
        copy.ClearField("source_code_info")
    return copy.SerializeToString(deterministic=True)


def bare(file: FileDescriptorProto) -> bytes:
    """``file`` serialized without source information."""
    copy = FileDescriptorProto()
    copy.CopyFrom(file)
    copy.ClearField("source_code_info")
    return copy.SerializeToString(deterministic=True)


def _commented(file: FileDescriptorProto) -> Iterator[SourceCodeInfo.Location]:
    for location in file.source_code_info.location:
        if location.leading_comments or location.trailing_comments:
            kept = SourceCodeInfo.Location()
            kept.CopyFrom(location)
            kept.ClearField("leading_detached_comments")
            yield kept


def dependencies(file: FileDescriptorProto, files: Mapping[str, FileDescriptorProto]) -> list[FileDescriptorProto]:
    """All files that ``file`` imports, directly or not, each once and before the files that import it.

    Raises `ProtoError` for an import that ``files`` lacks.
    """
    found: dict[str, FileDescriptorProto] = {}
    _visit(file, files, found)
    return [each for each in found.values() if each.name != file.name]


def _visit(
    file: FileDescriptorProto, files: Mapping[str, FileDescriptorProto], found: dict[str, FileDescriptorProto]
) -> None:
    for name in file.dependency:
        if name not in files:
            raise ProtoError(
                f"{file.name}: the imported {name} is missing (a descriptor set made without its imports?)"
            )
        if name not in found:
            _visit(files[name], files, found)
    found[file.name] = file
