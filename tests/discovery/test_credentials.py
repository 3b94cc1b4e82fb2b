"""TLS to a control plane: certificates are read for every connection, so that one that is mended counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
import trustme

from meshkit.discovery import Discovery, DiscoveryOptions, NodeIdentity
from meshkit.discovery.credentials import control_plane_tls
from meshkit.net import BackoffPolicy
from tests.support.ads_server import AdsServer, cluster, endpoints, routes
from tests.support.events import captured_events
from tests.support.waiting import until

FAST = BackoffPolicy(0.02, 1.6, 0.2, 0.1)
MESH = (cluster("a"), endpoints("a", "127.0.0.1:1"), routes("pkg.svc:80", ("a", 1)))


def credentials(authority: trustme.CA, name: str) -> grpc.ServerCredentials:
    issued = authority.issue_cert(name)
    pair = (issued.private_key_pem.bytes(), b"".join(part.bytes() for part in issued.cert_chain_pems))
    return grpc.ssl_server_credentials([pair])


def discovery(server: AdsServer, root: Path, server_name: str = "", mode: str = "delta") -> Discovery:
    tls = control_plane_tls((str(root),), server_name)
    return Discovery(DiscoveryOptions(server.address, NodeIdentity("c"), mode=mode, backoff=FAST, tls=tls))


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_a_wrong_root_is_said_and_a_right_one_counts_at_once(tmp_path: Path, mode: str) -> None:
    authority, other, root = trustme.CA(), trustme.CA(), tmp_path / "root.pem"
    name = "istiod.istio-system.svc"
    with captured_events() as logs:
        async with AdsServer(credentials(authority, name)) as server:
            server.put(*MESH)
            plane = discovery(server, root, name, mode)
            await plane.start()
            watch = plane.watch("pkg.Svc")
            await until(lambda: "no root certificate at" in plane.condition())
            other.cert_pem.write_to_path(str(root))
            await until(lambda: "unable to get local issuer certificate" in plane.condition())
            authority.cert_pem.write_to_path(str(root))
            await asyncio.wait_for(watch.cell.wait(lambda snapshot: snapshot.ready), 30)
            await plane.close()
    assert [entry for entry in logs if entry["event"] == "control plane not reached"]


async def test_the_name_in_the_certificate_is_checked(tmp_path: Path) -> None:
    authority, root = trustme.CA(), tmp_path / "root.pem"
    authority.cert_pem.write_to_path(str(root))
    async with AdsServer(credentials(authority, "istiod.istio-system.svc")) as server:
        plane = discovery(server, root)
        await plane.start()
        plane.watch("pkg.Svc")
        await until(lambda: "certificate is not valid for '127.0.0.1'" in plane.condition())
        await plane.close()
