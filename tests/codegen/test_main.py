"""The executable, as protoc runs it."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorResponse
from meshkit_codegen.main import main  # noqa: F401  (what the executable calls)

from meshkit import __version__
from tests.support.proto_files import request_for

EXECUTABLE = [f"{sysconfig.get_path('scripts')}/protoc-gen-meshkit"]
WITHOUT_PROTOBUF = """
import sys
sys.modules["google.protobuf"] = None
from meshkit_codegen import main
main()
"""


def run(command: list[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=data, capture_output=True, check=False)


def response(done: subprocess.CompletedProcess[bytes]) -> CodeGeneratorResponse:
    assert (done.returncode, done.stderr) == (0, b"")
    return CodeGeneratorResponse.FromString(done.stdout)


def test_a_request(tmp_path: Path):
    request = request_for(tmp_path, {"a.proto": "service A { rpc Do(M) returns (M); } message M {}"})
    answer = response(run(EXECUTABLE, request.SerializeToString()))
    assert [file.name for file in answer.file] == ["a_mesh.py"]
    features = CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL | CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS
    assert answer.supported_features == features
    assert (answer.minimum_edition, answer.maximum_edition) == (998, 1001)


def test_garbage_is_an_error_not_a_traceback():
    assert "run by protoc or buf" in response(run(EXECUTABLE, b"\xff\xff\xff")).error


def test_a_fault_of_the_plugin_is_an_error_not_a_traceback(tmp_path: Path):
    # A template folder that lost its file: not foreseen, so told as a fault to report.
    lose = "import meshkit_templates.library as l; l.path = lambda name: '/nowhere'"
    broken = f"{lose}\nfrom meshkit_codegen import main; main()"
    request = request_for(tmp_path, {"a.proto": "service A {}"})
    answer = response(run([sys.executable, "-c", broken], request.SerializeToString()))
    assert answer.error.startswith("protoc-gen-meshkit failed; please report it: TemplateNotFound")


def test_without_the_gen_extra_the_error_says_what_to_install():
    assert "pip install 'meshkit[gen]'" in response(run([sys.executable, "-c", WITHOUT_PROTOBUF])).error


def test_words_for_people():
    version, usage, wrong = (run([*EXECUTABLE, word]) for word in ("--version", "--help", "greeter.proto"))
    assert version.stdout.decode() == f"protoc-gen-meshkit {__version__}\n"
    assert b"meshkit gen" in usage.stdout
    assert wrong.returncode == 1
    assert b"meshkit gen" in wrong.stderr
