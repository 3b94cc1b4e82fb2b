"""Golden files of the generator: ``python -m tests.golden write`` makes them, ``check`` says whether they are current.

``protos`` holds the sources, ``betterproto2`` and ``protobuf`` what is generated for each kind of messages. ``check``
also type-checks the generated services, with code that uses them as users would, by mypy and pyright, both strict.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from meshkit_codegen import Messages, generate

HERE = Path(__file__).parent
PROTOS = HERE / "protos"
KINDS: tuple[Messages, ...] = ("betterproto2", "protobuf")
TYPE_CHECKERS = (("mypy", "--config-file", f"{HERE / 'mypy.ini'}"), ("pyright", "-p", f"{HERE}"))


def write() -> int:
    """Generate every kind anew; what the generator does not write any more goes."""
    for kind in KINDS:
        rmtree(HERE / kind, ignore_errors=True)
        generate([PROTOS], HERE / kind, messages=kind)
    return 0


def check() -> int:
    """Name every golden file that the generator would write otherwise, then check types; 1 where anything is wrong."""
    different = sorted(f"tests/golden/{kind}/{path}" for kind in KINDS for path in differences(kind))
    for path in different:
        print(f"{path}: not what the generator writes; run `make gen` and look at the difference")
    failures = [subprocess.run([sys.executable, "-m", *tool], check=False).returncode for tool in TYPE_CHECKERS]
    return int(any((different, *failures)))


def differences(kind: Messages) -> set[Path]:
    """Files of ``kind`` that are missing, left over or different."""
    with TemporaryDirectory() as folder:
        generate([PROTOS], folder, messages=kind)
        made, golden = _files(Path(folder)), _files(HERE / kind)
    return {path for path in made.keys() | golden.keys() if made.get(path) != golden.get(path)}


def _files(folder: Path) -> dict[Path, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder): path.read_bytes() for path in paths}


WORDS = {"check": check, "write": write}

if __name__ == "__main__":
    if sys.argv[1:] not in [[word] for word in WORDS]:
        sys.exit("usage: python -m tests.golden check|write")
    sys.exit(WORDS[sys.argv[1]]())
