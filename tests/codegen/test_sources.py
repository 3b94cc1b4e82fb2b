"""Which files a run is about."""

from pathlib import Path

import pytest
from meshkit_codegen import ProtoError
from meshkit_codegen.sources import Sources

from tests.support.proto_files import write_protos

FILES = {
    "helloworld/v1/greeter.proto": "package helloworld.v1;",
    "loose.proto": "package elsewhere;",
    "sub/deep/x.proto": "",
}


@pytest.fixture
def protos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_protos(tmp_path / "proto", FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "proto"


def test_a_folder_is_its_own_root(protos: Path):
    assert Sources.find([Path("proto")], []) == Sources(tuple(sorted(FILES)), (Path("proto"),))
    assert Sources.find([protos], []).roots == (protos,)


def test_a_files_root_is_above_its_package(protos: Path):
    file = Path("proto/helloworld/v1/greeter.proto")
    assert Sources.find([file], []) == Sources(("helloworld/v1/greeter.proto",), (Path("proto"),))
    assert Sources.find([protos / "helloworld/v1/greeter.proto"], []).roots == (protos,)


def test_a_file_beside_its_package_folders(protos: Path):
    assert Sources.find([Path("proto/loose.proto")], []) == Sources(("loose.proto",), (Path("proto"),))


def test_within_the_package_folder(protos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(protos / "helloworld" / "v1")
    assert Sources.find([Path("greeter.proto")], []) == Sources(("helloworld/v1/greeter.proto",), (Path("../.."),))


def test_given_roots_name_files(protos: Path):
    roots = [Path("proto/sub"), Path("proto")]
    assert Sources.find([Path("proto/sub/deep/x.proto")], roots).names == ("deep/x.proto",)
    assert Sources.find([Path("helloworld/v1/greeter.proto")], roots).names == ("helloworld/v1/greeter.proto",)


def test_each_file_once(protos: Path):
    assert Sources.find([protos, Path("proto/loose.proto")], [protos]).names.count("loose.proto") == 1


def test_arguments_are_files_on_disk(protos: Path):
    sources = Sources.find([Path("proto/loose.proto")], [])
    assert sources.arguments() == ["-Iproto", "proto/loose.proto"]


@pytest.mark.parametrize(
    ("given", "roots", "error"),
    [
        (["nowhere.proto"], [], "nowhere.proto: no such file or folder"),
        (["nowhere.proto"], ["proto"], "nowhere.proto: no such file, neither here nor below proto"),
        (["proto/loose.proto"], ["proto/sub"], "outside of --proto-path"),
        (["proto/loose.proto"], ["nowhere"], "nowhere: --proto-path names no folder"),
        (["empty"], [], "empty: no .proto files in this folder"),
        ([], [], "no proto files given"),
    ],
)
def test_refused(protos: Path, given: list[str], roots: list[str], error: str):
    Path("empty").mkdir()
    with pytest.raises(ProtoError, match=error):
        Sources.find(list(map(Path, given)), list(map(Path, roots)))
