"""Under a real protoc, side by side with betterproto2's plugin and with protoc's own Python."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from meshkit_codegen import ProtoError
from meshkit_codegen.protoc import compile_protos
from meshkit_codegen.sources import Sources

from tests.golden.__main__ import HERE, PROTOS

ENVIRONMENT = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"}
ALL = [str(path.relative_to(PROTOS)) for path in sorted(PROTOS.rglob("*.proto"))]


def protoc(*arguments: str, cwd: Path = PROTOS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *arguments]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def modules(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*_mesh.py")}


def test_beside_betterproto2(tmp_path: Path):
    done = protoc(f"--python_betterproto2_out={tmp_path}", f"--meshkit_out={tmp_path}", *ALL)
    assert done.returncode == 0, done.stderr
    assert modules(tmp_path) == modules(HERE / "betterproto2")


def test_beside_protocs_own(tmp_path: Path):
    done = protoc(f"--python_out={tmp_path}", f"--meshkit_out=messages=protobuf:{tmp_path}", *ALL)
    assert done.returncode == 0, done.stderr
    assert modules(tmp_path) == modules(HERE / "protobuf")


def test_one_directory_a_run_as_buf_does(tmp_path: Path):
    by_folder: dict[str, list[str]] = {}
    for name in ALL:
        by_folder.setdefault(str(Path(name).parent), []).append(name)
    for names in by_folder.values():
        done = protoc(f"--meshkit_out={tmp_path}", *names)
        assert done.returncode == 0, done.stderr
    assert modules(tmp_path) == modules(HERE / "betterproto2")


@pytest.mark.parametrize(
    ("text", "option", "error"),
    [
        (
            "service S {\n rpc Do(M) returns (M);\n rpc do(M) returns (M);\n}\nmessage M {}",
            "",
            "a.proto:3: rpc Do and a.proto:4: rpc do",
        ),
        ("service S {}", "clients=all", "unknown option 'clients'"),
    ],
)
def test_errors_are_protocs(tmp_path: Path, text: str, option: str, error: str):
    (tmp_path / "a.proto").write_text(f'syntax = "proto3";\n{text}')
    done = protoc(f"--meshkit_out={option}:{tmp_path}", "a.proto", cwd=tmp_path)
    assert done.returncode != 0
    assert f"--meshkit_out: {error}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not modules(tmp_path)


def test_an_edition(tmp_path: Path):
    text = 'edition = "2023"; package e; service S { rpc Do(M) returns (M); } message M { int32 a = 1; }'
    (tmp_path / "a.proto").write_text(text)
    done = protoc(f"--python_out={tmp_path}", f"--meshkit_out=messages=protobuf:{tmp_path}", "a.proto", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_compiled_descriptors_have_imports_and_comments(tmp_path: Path):
    descriptors = compile_protos(Sources(("golden/shapes/v1/admin.proto",), (PROTOS,)), tmp_path)
    names = [file.name for file in descriptors.file]
    assert names.index("google/protobuf/empty.proto") < names.index("golden/shapes/v1/admin.proto")
    assert all(file.source_code_info.location for file in descriptors.file)


def test_a_lost_import_is_told_once_with_the_folders_asked(tmp_path: Path):
    (tmp_path / "a.proto").write_text('syntax = "proto3";\nimport "lost.proto";')
    with pytest.raises(ProtoError) as caught:
        compile_protos(Sources(("a.proto",), (tmp_path,)), tmp_path)
    assert str(caught.value) == (
        f'{tmp_path}/a.proto:2:1: Import "lost.proto" was not found or had errors'
        f"; imports are looked for in {tmp_path} (change that with --proto-path)"
    )


def test_warnings_go_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.proto").write_text('syntax = "proto3";\nimport "google/protobuf/empty.proto";')
    compile_protos(Sources(("a.proto",), (tmp_path,)), tmp_path)
    assert "empty.proto is unused" in capsys.readouterr().err


def test_a_complaint_is_in_protocs_words_without_those_of_its_logger(tmp_path: Path) -> None:
    (tmp_path / "bad.proto").write_text("rubbish")
    with pytest.raises(ProtoError) as caught:
        compile_protos(Sources.find([tmp_path / "bad.proto"], []), tmp_path)
    assert str(caught.value).startswith("No edition or syntax specified")
    assert str(caught.value).endswith('bad.proto:1:1: Expected top-level statement (e.g. "message").')
    assert "absl" not in str(caught.value)
