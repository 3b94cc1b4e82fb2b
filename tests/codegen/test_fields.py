"""Fields that betterproto2 would make one of, or less of."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from meshkit_codegen import ProtoError, generate
from meshkit_codegen.fields import check_fields

from meshkit.codec import codec_for
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


def test_a_group_is_refused(tmp_path: Path):
    text = """syntax = "proto2";
    message M {
      optional group G = 1 { optional int32 a = 2; }
    }
    """
    source = write_protos(tmp_path / "proto", {"a.proto": text})
    with pytest.raises(ProtoError, match=r"^a\.proto:3: field g of message M is a group, .* use --messages protobuf$"):
        generate([source], tmp_path / "gen")


PROTO2 = """syntax = "proto2"; package two.v1;
enum E { ONE = 1; TWO = 2; }
message M {
  required int32 req = 1;
  optional bool on = 2 [default = true];
  optional E e = 3 [default = TWO];
  optional string s = 4;
  repeated int32 many = 5;
  map<int32, string> map = 6;
  oneof o { int32 a = 7; string b = 8; }
  optional M m = 9;
}
"""


def test_what_proto2_tells_from_absence_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    request = request_for(tmp_path, {"two.proto": PROTO2})
    generate([tmp_path / "protos"], tmp_path / "twogen")
    monkeypatch.syspath_prepend(tmp_path)
    ours: Any = importlib.import_module("twogen.two.v1").M
    pool = descriptor_pool.DescriptorPool()
    pool.Add(request.proto_file[0])
    upb: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("two.v1.M"))
    theirs = upb(req=0, on=False, e=1, s="", a=0, many=[0], map={0: ""}, m=upb(req=1))
    message = codec_for(ours).decode(theirs.SerializeToString())
    assert (message.req, message.on, message.s, message.a, message.b, message.m.on) == (0, False, "", 0, None, None)
    assert upb.FromString(codec_for(ours).encode(message)) == theirs
    assert bytes(ours()) == b""
