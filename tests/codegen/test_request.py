"""From requests to modules: what is written where, and what is refused, naming both places."""

import ast
import re
from pathlib import Path

import pytest
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tests.support.proto_files import contents, error_of, request_for

SERVICE = """
    package a.v1;
    service Greeter { rpc SayHello(Hello) returns (Hello); }
    message Hello {}
"""


def test_only_files_to_generate_that_have_services(tmp_path: Path):
    files = {
        "a/v1/greeter.proto": SERVICE,
        "a/v1/types.proto": "package a.v1; message Type {}",
        "b.proto": "service B {}",
    }
    request = request_for(tmp_path, files, ["a/v1/greeter.proto", "a/v1/types.proto"])
    assert list(contents(request)) == ["a/v1/greeter_mesh.py"]


def test_a_run_over_all_and_runs_over_single_files_write_the_same(tmp_path: Path):
    files = {
        "a/v1/greeter.proto": SERVICE,
        "a/v1/other.proto": """
            package a.v1;
            import "a/v1/greeter.proto";
            import "b/b.proto";
            service Other { rpc Do(Hello) returns (b.B); }
        """,
        "b/b.proto": "package b; message B {} service BService {}",
    }
    request = request_for(tmp_path, files)
    whole = contents(request)
    singly: dict[str, str] = {}
    for name in files:
        request.ClearField("file_to_generate")
        request.file_to_generate.append(name)
        singly |= contents(request)
    assert singly == whole
    assert contents(request) == contents(request)


def test_without_source_information(tmp_path: Path):
    request = request_for(tmp_path, {"a.proto": SERVICE})
    for file in request.proto_file:
        file.ClearField("source_code_info")
    assert "class GreeterBase" in contents(request)["a/v1/a_mesh.py"]


def test_every_syntax(tmp_path: Path):
    body = "package p; service S { rpc Do(M) returns (M); } message M {"
    files = {
        "two.proto": f'syntax = "proto2";{body.replace("S {", "S2 {").replace("M", "M2")} required int32 a = 1; }}',
        "three.proto": f"{body.replace('S {', 'S3 {').replace('M', 'M3')} optional int32 a = 1; }}",
        "four.proto": f'edition = "2023";{body} int32 a = 1; }}',
    }
    assert sorted(contents(request_for(tmp_path, files))) == ["p/four_mesh.py", "p/three_mesh.py", "p/two_mesh.py"]


def test_embedded_dependencies_are_whole_once_and_in_order(tmp_path: Path):
    files = {
        "a.proto": 'import public "b.proto"; import "c.proto"; service A { rpc Do(C) returns (C); }',
        "b.proto": 'import "google/protobuf/timestamp.proto"; message B { google.protobuf.Timestamp at = 1; }',
        "c.proto": """import "google/protobuf/timestamp.proto"; import "b.proto";
            message C { B b = 1; google.protobuf.Timestamp t = 2; }""",
    }
    [source] = contents(request_for(tmp_path, files)).values()
    names = [file.name for file in embedded(source)]
    assert names == ["a.proto", "google/protobuf/timestamp.proto", "b.proto", "c.proto"]


def test_the_own_file_keeps_its_comments_only(tmp_path: Path):
    text = "// Of the service.\nservice A { rpc Do(M) returns (M); }\nmessage M { string a = 1; }"
    [source] = contents(request_for(tmp_path, {"a.proto": text})).values()
    [file] = embedded(source)
    [location] = file.source_code_info.location
    assert (list(location.path), location.leading_comments) == ([6, 0], " Of the service.\n")


def embedded(source: str) -> list[FileDescriptorProto]:
    """The descriptors in a generated module: its own, then those it depends on."""
    constants = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [FileDescriptorProto.FromString(value) for value in constants if isinstance(value, bytes)]


REFUSED = {
    "two rpcs, one attribute": (
        "package a;\nservice S {\n  rpc GetThing(M) returns (M);\n  rpc get_thing(M) returns (M);\n}\nmessage M {}",
        "a.proto:4: rpc GetThing and a.proto:5: rpc get_thing of service S are both get_thing() in Python; rename one",
    ),
    "two services, one class": (
        "package a;\nservice HTTPThing {}\nservice HttpThing {}",
        "a.proto:3: service HTTPThing and a.proto:4: service HttpThing are both class HttpThingBase "
        "in Python; rename one",
    ),
    "two messages, one class": (
        "package a;\nservice S { rpc Do(ABc) returns (ABc); }\nmessage ABc {}\nmessage A {\n  message Bc {}\n}",
        "a.proto:4: a.ABc and a.proto:6: a.A.Bc are both class ABc in Python; rename one of them",
    ),
    "a class that is a keyword": (
        "package a;\nservice S { rpc Do(None) returns (None); }\nmessage None {}",
        "a.proto:3: rpc Do takes a.None (a.proto:4), which Python cannot import: 'None' is no name there",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_file(tmp_path: Path, case: str):
    text, error = REFUSED[case]
    assert error_of(request_for(tmp_path, {"a.proto": text})) == error


def test_unused_messages_may_share_a_class(tmp_path: Path):
    text = f"{SERVICE} message HTTPServer {{}} message HttpServer {{}}"
    assert contents(request_for(tmp_path, {"a.proto": text}))


def test_messages_that_share_a_class_differ_with_protobuf(tmp_path: Path):
    text = REFUSED["two messages, one class"][0]
    assert (
        "_a_pb2.ABc" in contents(request_for(tmp_path, {"a.proto": text}, parameter="messages=protobuf"))["a_mesh.py"]
    )


def test_two_files_one_module(tmp_path: Path):
    files = {"x/a-b.proto": "package a; service A {}", "y/a_b.proto": "package a; service B {}"}
    assert error_of(request_for(tmp_path, files)) == (
        "x/a-b.proto and y/a_b.proto would both be written to a/a_b_mesh.py; rename one of them"
    )


def test_one_service_in_two_files(tmp_path: Path):
    request = request_for(tmp_path, {"a.proto": SERVICE})
    twin = request.proto_file.add()
    twin.CopyFrom(request.proto_file[0])
    twin.name = "b.proto"
    assert "service a.v1.Greeter is defined in a.proto and in b.proto" in error_of(request)


def test_a_missing_import(tmp_path: Path):
    files = {"a.proto": 'import "b.proto"; service A { rpc Do(B) returns (B); }', "b.proto": "message B {}"}
    request = request_for(tmp_path, files, ["a.proto"])
    del request.proto_file[[file.name for file in request.proto_file].index("b.proto")]
    assert error_of(request) == "a.proto:2: rpc Do takes B, which no imported file defines (a missing import?)"
    request.proto_file[0].service[0].ClearField("method")
    assert "a.proto: the imported b.proto is missing" in error_of(request)


def test_a_file_that_is_not_there():
    assert "b.proto: to be generated, but" in error_of(CodeGeneratorRequest(file_to_generate=["b.proto"]))


def test_an_unknown_option(tmp_path: Path):
    assert "unknown option 'client'" in error_of(request_for(tmp_path, {"a.proto": SERVICE}, parameter="client=async"))


def test_a_package_with_a_keyword_serves_itself_but_cannot_be_imported(tmp_path: Path):
    files = {
        "k.proto": "package a.async; message M {} service S { rpc Do(M) returns (M); }",
        "b.proto": 'package b; import "k.proto"; service T { rpc Do(a.async.M) returns (a.async.M); }',
    }
    request = request_for(tmp_path, files, ["k.proto"])
    assert "from . import M\n" in contents(request)["a/async/k_mesh.py"]
    request.file_to_generate.append("b.proto")
    assert error_of(request) == (
        "b.proto:2: rpc Do takes a.async.M (k.proto:2), which Python cannot import: 'async' is no name there"
    )


@pytest.mark.parametrize(
    ("package", "other", "statement"),
    [
        ("a.v1", "a.v1.sub", "from .sub import Other"),
        ("a.v1.sub", "a.v1", "from .. import Other"),
        ("a.v1", "b.v1", "from ...b.v1 import Other"),
        ("a.v1", "a.v2", "from ..v2 import Other"),
        ("a.v1", "", "from ... import Other"),
        ("", "b", "from .b import Other"),
    ],
)
def test_relative_imports(tmp_path: Path, package: str, other: str, statement: str):
    def declared(name: str) -> str:
        return f"package {name};" if name else ""

    reference = f".{other}.Other".replace("..", ".")
    files = {
        "s.proto": f'{declared(package)} import "o.proto"; service S {{ rpc Do({reference}) returns ({reference}); }}',
        "o.proto": f"{declared(other)} message Other {{}}",
    }
    [source] = contents(request_for(tmp_path, files, ["s.proto"])).values()
    assert [line for line in source.splitlines() if line.endswith("import Other")] == [statement]


@pytest.mark.parametrize(
    ("file", "other", "statement"),
    [
        ("a/v1/s.proto", "a/v1/o.proto", "from . import o_pb2 as _o_pb2"),
        ("a/v1/s.proto", "a/o-p.q.proto", "from ..o_p import q_pb2 as _q_pb2"),
        ("a/v1/s.proto", "b/o.proto", "from b import o_pb2 as _o_pb2"),
        ("a/v1/s.proto", "o.proto", "import o_pb2 as _o_pb2"),
        ("s.proto", "o.proto", "import o_pb2 as _o_pb2"),
    ],
)
def test_imports_of_pb2_modules(tmp_path: Path, file: str, other: str, statement: str):
    files = {
        file: f'import "{other}"; service S {{ rpc Do(Other.Inner) returns (Other.Inner); }}',
        other: "message Other { message Inner {} }",
    }
    [(path, source)] = contents(request_for(tmp_path, files, [file], "messages=protobuf")).items()
    assert path == file.replace(".proto", "_mesh.py")
    assert statement in source.splitlines()
    assert re.search(r"_pb2\.Other\.Inner,", source)
