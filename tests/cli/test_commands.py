"""The `meshkit` command as a person meets it: help, errors in one line, exit codes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from meshkit.cli.commands import COMMANDS, GROUPS


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "meshkit.cli", *words], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for words, command in COMMANDS.items():
        group, _, _ = words.rpartition(" ")
        assert (group or words) in done.stdout
        assert GROUPS.get(group, command.purpose).split()[0] in done.stdout


@pytest.mark.parametrize("words", COMMANDS)
def test_each_command_explains_itself(words: str) -> None:
    done = run(*words.split(), "--help")
    assert done.returncode == 0
    assert f"meshkit {words}" in done.stdout


def failure(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "missing" in failure(run("control", str(tmp_path / "missing")))


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in failure(run("control", str(tmp_path), "--port", port, "--debug-port", "0"))


def test_a_proto_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "nope.proto" in failure(run("gen", "nope.proto", "--out", str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "said"),
    [("service", "package.module:Class"), ("nowhere.at.all:Greeter", "no module"), ("json:Greeter", "no 'Greeter'")],
)
def test_a_class_that_is_not_there_is_one_line(name: str, said: str) -> None:
    assert said in failure(run("run", name))


def test_run_serves_a_class_until_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "from tests.support.world import Greeter as G\n\ndef Greeter():\n    return G('x')\n"
    )
    words = [sys.executable, "-m", "meshkit.cli", "run", "service:Greeter"]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(root)}
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 0
    assert said.startswith("serving helloworld.v1.Greeter on 127.0.0.1:")


def test_control_serves_without_pages_where_it_is_told_so(tmp_path: Path) -> None:
    words = ["control", str(tmp_path), "--port", "0", "--no-debug", "--settle", "0"]
    with subprocess.Popen([sys.executable, "-m", "meshkit.cli", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 0
    assert said.startswith(f"serving {tmp_path} as xDS on 127.0.0.1:")
    assert said.endswith(", no debug pages\n")
