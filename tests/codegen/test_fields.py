"""Fields that betterproto2 would make one of."""

from pathlib import Path

import pytest
from meshkit_codegen import ProtoError, generate
from meshkit_codegen.fields import check_fields

from tests.support.proto_files import request_for, write_protos

COLLIDING = """package a;
message Outer {
  message M {
    int32 None = 1;
    string other = 2;
    string none = 3;
  }
}
"""


def test_two_fields_of_one_name_are_refused_and_nothing_is_written(tmp_path: Path):
    source = write_protos(tmp_path / "proto", {"a.proto": COLLIDING})
    with pytest.raises(ProtoError) as caught:
        generate([source], tmp_path / "gen")
    assert str(caught.value) == (
        "a.proto:5: field None and a.proto:7: field none of message a.Outer.M are both none in Python, where one would "
        "be lost; rename one of them, or use --messages protobuf"
    )
    assert not (tmp_path / "gen").exists()
    assert generate([source], tmp_path / "gen", messages="protobuf")


def test_in_a_file_that_is_only_imported(tmp_path: Path):
    texts = {"a.proto": COLLIDING, "b.proto": 'import "a.proto"; message B { a.Outer.M m = 1; }'}
    source = write_protos(tmp_path / "proto", texts)
    with pytest.raises(ProtoError, match=r"a\.Outer\.M are both none"):
        generate([source / "b.proto"], tmp_path / "gen")


@pytest.mark.parametrize(
    "fields",
    [
        "int32 HTTPPort = 1; int32 HttpPort = 2;",
        "int32 Class = 1; int32 class = 2;",
        "int32 Xs = 1; map<string, int32> xs = 2;",
        "oneof one { int32 A = 1; int32 B = 2; } int32 b = 3;",
    ],
)
def test_names_that_are_one_in_python(tmp_path: Path, fields: str):
    request = request_for(tmp_path, {"a.proto": f"message M {{ {fields} }}"})
    with pytest.raises(ProtoError, match="of message M are both"):
        check_fields(request.proto_file)


def test_names_that_differ_and_other_messages_names(tmp_path: Path):
    text = "message M { int32 a = 1; map<string, int32> b = 2; oneof c { int32 d = 3; } } message N { int32 A = 1; }"
    check_fields(request_for(tmp_path, {"a.proto": text}).proto_file)
