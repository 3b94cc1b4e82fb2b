"""Small unary calls over TLS beside grpc.aio's; what was agreed on is read off the wire by a relay between the ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import trustme

from benchmarks.handshake import agreed
from benchmarks.report import Row, at_least, figure
from benchmarks.rounds import Load, Run, client, rounds, serving
from benchmarks.stack import Results, rate, ratios

_NAME = "unary over TLS, 64 in flight"


def rows(quick: bool) -> list[Row]:
    """Calls a second with 64 in flight on one connection, the handshake long over."""
    fast, slow = (6_000, 2_000) if quick else (30_000, 6_000)
    with tempfile.TemporaryDirectory() as folder:
        certify(Path(folder))
        runs = {
            "meshkit": Run("meshkit", Load(in_flight=64, calls=fast), tls=folder),
            "grpc.aio": Run("grpc.aio", Load(in_flight=64, calls=slow), tls=folder),
        }
        sessions = {label: _session(run) for label, run in runs.items()}
        return list(_compared(rounds(runs, 2 if quick else 5), sessions))


def certify(folder: Path) -> None:
    """Write ca.pem, cert.pem and key.pem for 127.0.0.1 into ``folder``."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(str(folder / "cert.pem"), append=True)


def _session(run: Run) -> str:
    run = replace(run, load=Load(calls=1))

    async def connect(relay: int) -> None:
        await asyncio.to_thread(client, run, relay)

    with serving(run) as found:
        return asyncio.run(agreed(found.port, connect))


def _compared(results: Results, sessions: dict[str, str]) -> Iterator[Row]:
    for label in results:
        yield figure(f"{_NAME}: {label}", rate(results, label), "calls/s", sessions[label])
    found = ratios(rate(results, "meshkit"), rate(results, "grpc.aio"))
    yield at_least(f"{_NAME}: meshkit / grpc.aio", found, "x", 6)
