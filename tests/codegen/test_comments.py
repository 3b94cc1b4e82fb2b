"""Comments and places of proto files."""

import ast

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import example, given
from hypothesis import strategies as st
from meshkit_codegen.comments import SourceInfo, docstring_text


@given(st.text())
@example('"')
@example('""""')
@example('\\"""\\')
@example("\\N{no name} \\x \\u12")
@example("a\x00b\rc\x0cd\u2028e\u202ef")
def test_any_text_survives_as_a_docstring(text: str):
    literal = f'"""{docstring_text(text)}"""'
    assert ast.literal_eval(literal) == text
    assert all(char == "\n" or char.isprintable() for char in literal)


def file_with(**location: str) -> FileDescriptorProto:
    file = FileDescriptorProto(name="a.proto")
    file.source_code_info.location.add(path=[6, 0], span=[4, 0, 7, 1], **location)
    return file


def test_comment_joins_what_stands_before_and_behind():
    info = SourceInfo(file_with(leading_comments=" before\n   indented \n\n", trailing_comments=" behind\n"))
    assert info.comment([6, 0]) == "before\n  indented\n\nbehind"


def test_detached_comments_belong_to_nobody():
    file = file_with()
    file.source_code_info.location[0].leading_detached_comments.append(" licence")
    assert SourceInfo(file).comment([6, 0]) == ""


def test_place():
    info = SourceInfo(file_with())
    assert info.place([6, 0]) == "a.proto:5"
    assert info.place([6, 1]) == "a.proto"


def test_without_source_info():
    info = SourceInfo(FileDescriptorProto(name="a.proto"))
    assert (info.comment([6, 0]), info.place([6, 0])) == ("", "a.proto")
