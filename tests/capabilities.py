"""The table "capability by peer" of docs/capabilities.md, made of the tests that fill it.

A test marked ``@pytest.mark.capability(name, peer=...)`` is one cell; CI runs them all. ``python -m tests.capabilities
write`` makes the page, ``check`` says whether it is current.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "capabilities.md"
PEERS = (
    *("istiod delta", "istiod grpc/SotW", "embedded"),
    *("Envoy", "grpcio", "grpc-go", "grpc-js"),
    *("dubbo-go 3.1", "dubbo-go 3.3", "dubbo-java"),
)
_TOP = """\
# What works with whom

Every cell is a test against the real program, run by CI, and links to the file where it is. An empty cell says that
there is no test, often because the peer has no such thing. `make test` runs those whose peers come from PyPI (Envoy,
grpcio, our embedded control plane), `make interop` builds and runs the others. This page is written by `make gen` from
the tests' marks.

istiod is Istio's own control plane, asked in both of its dialects: `delta` is its default generator over delta ADS,
`grpc/SotW` its generator for proxyless gRPC.

"""


class Collector:
    """Takes the marks of all collected tests."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("capability"):
                self.add(item, *mark.args, **mark.kwargs)

    def add(self, item: pytest.Item, name: str, peer: str) -> None:
        if peer not in PEERS:
            raise pytest.UsageError(f"{item.nodeid}: capability {name!r} of {peer!r}, which is none of {PEERS}")
        self.cells[name][peer].add(item.path.relative_to(PAGE.parent.parent).as_posix())


def page() -> str:
    """The page that the tests describe. Raises SystemExit when they cannot be collected."""
    collector = Collector()
    with redirect_stdout(StringIO()) as said:
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider"], plugins=[collector])
    if code:
        raise SystemExit(f"the tests cannot be collected:\n{said.getvalue()}")
    cells = sorted(collector.cells.items(), key=lambda cell: cell[0].casefold())
    rows = [[name, *(_links(peers[peer]) for peer in PEERS)] for name, peers in cells]
    lines = [["capability", *PEERS], ["---", *(":-:" for _ in PEERS)], *rows]
    return _TOP + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _links(files: set[str]) -> str:
    return " ".join(f"[✓](../{file})" for file in sorted(files))


def main(word: str) -> int:
    """Write the page, or say whether it is current; 1 if it is not."""
    wanted = page()
    if word == "write":
        PAGE.write_text(wanted)
    elif not PAGE.exists() or PAGE.read_text() != wanted:
        print("docs/capabilities.md is not what the tests say; run `make gen` and look at the difference")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
