"""`generate`: everything in one go, with nothing on PATH."""

import subprocess
import sys
from pathlib import Path

import pytest
from meshkit_codegen import Messages, ProtoError, generate

from meshkit.errors import MissingExtra
from tests.support.proto_files import write_protos

A = """package p; import "google/protobuf/timestamp.proto";
service A { rpc Do(Ma) returns (Ma); } message Ma { google.protobuf.Timestamp t = 1; }"""
B = 'package p; import "google/protobuf/duration.proto"; message Mb { google.protobuf.Duration d = 1; }'


def protos(folder: Path, **files: str) -> Path:
    return write_protos(folder / "proto", {f"{name}.proto": text for name, text in files.items()})


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_with_an_empty_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("not toml, which a ruff run from here would trip over")
    made = generate([protos(tmp_path, a=A)], tmp_path / "gen")
    assert {str(path.relative_to(tmp_path / "gen")) for path in made} == {
        "__init__.py",
        "google/__init__.py",
        "google/protobuf/__init__.py",
        "message_pool.py",
        "p/__init__.py",
        "p/a_mesh.py",
        "py.typed",
    }
    assert all(path.is_file() for path in made)
    script = "import gen.p; print(gen.p.Ma().t)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "None", done.stderr


@pytest.mark.parametrize("messages", ["betterproto2", "protobuf"])
def test_the_same_again_touches_nothing(tmp_path: Path, messages: Messages):
    source = protos(tmp_path, a=A, b=B)
    made = generate([source], tmp_path / "gen", messages=messages)
    before = {path: path.stat().st_mtime_ns for path in made}
    assert generate([source], tmp_path / "gen", messages=messages) == made
    assert {path: path.stat().st_mtime_ns for path in made} == before


def test_runs_over_single_files_lose_no_messages(tmp_path: Path):
    source = protos(tmp_path, a=A, b=B)
    generate([source], tmp_path / "whole")
    generate([source / "a.proto"], tmp_path / "singly")
    generate([source / "b.proto"], tmp_path / "singly")
    whole, singly = tree(tmp_path / "whole"), tree(tmp_path / "singly")
    assert whole == singly
    assert "class Timestamp" in singly["google/protobuf/__init__.py"]
    assert "class Duration" in singly["google/protobuf/__init__.py"]


def test_messages_that_would_be_lost_are_an_error(tmp_path: Path):
    source = protos(tmp_path, a=A, b=B)
    generate([source], tmp_path / "gen")
    (source / "a.proto").rename(tmp_path / "elsewhere.proto")
    with pytest.raises(ProtoError, match=r"p/__init__.py: holds the messages of a.proto too, which is not found"):
        generate([source / "b.proto"], tmp_path / "gen")


def test_what_makes_a_folder_a_package_is_left_alone(tmp_path: Path):
    (tmp_path / "gen" / "p").mkdir(parents=True)
    mine = tmp_path / "gen" / "__init__.py"
    mine.write_text("# mine\n")
    generate([protos(tmp_path, q="package p.q; message M {}")], tmp_path / "gen")
    assert mine.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("message M {", "a.proto:2:12:"),
        ('import "lost.proto";', "lost.proto"),
        ("service S { rpc Do(Lost) returns (Lost); }", '"Lost" is not defined'),
        ("service S { rpc Do(M) returns (M); rpc do(M) returns (M); } message M {}", "are both do"),
        ("service S { rpc Do(M) returns (M); } message M {} message None {}", "betterproto2's generator failed"),
    ],
)
def test_errors_write_nothing(tmp_path: Path, text: str, error: str):
    with pytest.raises(ProtoError, match=error) as caught:
        generate([protos(tmp_path, a=text)], tmp_path / "gen")
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "gen").exists()


def test_editions_are_for_protobuf_messages_only(tmp_path: Path):
    source = protos(tmp_path, a='edition = "2023"; package p; service S { rpc Do(M) returns (M); } message M {}')
    with pytest.raises(ProtoError, match="use proto3, or --messages protobuf"):
        generate([source], tmp_path / "gen")
    made = generate([source], tmp_path / "gen", messages="protobuf")
    assert [path.name for path in made] == ["a_mesh.py", "a_pb2.py", "a_pb2.pyi"]


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "gen").write_text("in the way")
    with pytest.raises(OSError, match="gen"):
        generate([protos(tmp_path, a=A)], tmp_path / "gen")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "grpc_tools", None)  # what an import system knows of a package that is not there
    with pytest.raises(MissingExtra, match=r"pip install 'meshkit\[gen\]'"):
        generate([tmp_path], tmp_path)
