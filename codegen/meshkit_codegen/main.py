"""The executable ``protoc-gen-meshkit``: bytes from standard input to standard output."""

from __future__ import annotations

import sys

from meshkit.errors import MissingExtra

__all__ = ["main"]

_USAGE = """\
protoc-gen-meshkit {version} is a plugin of protoc and buf. Run one of:
  protoc -I proto --python_betterproto2_out=gen --meshkit_out=gen proto/greeter.proto
  meshkit gen proto --out gen
options (--meshkit_opt): messages=betterproto2 (default) or messages=protobuf"""


def main() -> None:
    """Answer protoc's request; asked for help, or started by hand, say what this is."""
    if len(sys.argv) > 1 or sys.stdin.isatty():
        sys.exit(_usage(sys.argv[1:]))
    sys.stdout.buffer.write(_respond(sys.stdin.buffer.read()))


def _respond(data: bytes) -> bytes:
    try:
        from .plugin import respond
    except ImportError:  # the bare runtime installs this script too
        return _error(str(MissingExtra("protoc-gen-meshkit", "gen")))
    try:
        return respond(data)
    except Exception as error:  # a bug here must reach the user as protoc's one line, not as a traceback and "exit 1"
        return _error(f"protoc-gen-meshkit failed; please report it: {type(error).__name__}: {error}")


def _error(text: str) -> bytes:
    # CodeGeneratorResponse.error is field 1; written by hand because google.protobuf may be what is missing.
    data = text.encode()
    return b"\x0a" + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    return bytes((value,)) if value < 0x80 else bytes((value & 0x7F | 0x80,)) + _varint(value >> 7)


def _usage(arguments: list[str]) -> str | None:
    from meshkit import __version__

    if arguments == ["--version"]:
        print(f"protoc-gen-meshkit {__version__}")
        return None
    usage = _USAGE.format(version=__version__)
    if arguments in (["--help"], ["-h"]):
        print(usage)
        return None
    return usage
