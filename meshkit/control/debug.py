"""The HTTP pages: istiod's /debug/adsz and /debug/syncz, our configuration, health and metrics.

adsz is what dubbo-go and other clients of istiod read interface registrations from; its shape is istiod's
(pilot/pkg/xds/debug.go).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiohttp import web

from .dialect import shown_metadata
from .hub import Hub
from .library import Library
from .naming import CDS, EDS, LDS, RDS
from .session import Session
from .tally import Gauge, Tally
from .watch import Watch
from .world import Provider

__all__ = ["DebugPages"]

_LAST_PAGE = 1.0  # seconds that a page being sent has to be finished
_SYNC_NAMES = {CDS: "cluster", EDS: "endpoint", LDS: "listener", RDS: "route"}


class DebugPages:
    """An HTTP server of the pages in `_pages`, by path."""

    def __init__(self, hub: Hub, library: Library, tally: Tally) -> None:
        self._hub = hub
        self._library = library
        self._tally = tally
        self._runner: web.AppRunner | None = None
        self._pages: dict[str, Callable[[str], Any]] = {
            "/debug/adsz": self._adsz,
            "/debug/syncz": self._syncz,
            "/debug/configz": self._configz,
            "/debug/registryz": self._registryz,
        }

    async def listen(self, host: str, port: int) -> int:
        """Serve the pages; gives the port. Raises OSError for a port that is taken."""
        app = web.Application()
        for path, page in self._pages.items():
            app.router.add_get(path, _json_page(page))
        for path in ("/healthz", "/ready"):
            app.router.add_get(path, _text_page(lambda: "ok\n"))
        app.router.add_get("/metrics", _text_page(self._metrics))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_PAGE)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        address = self._runner.addresses[0]
        return int(address[1])

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    # -- pages

    def _sessions(self, proxy: str) -> list[Session]:
        """Every client, or the one that ``?proxyID=`` names."""
        return [one for one in self._hub.sessions.values() if proxy in ("", one.node.name, one.node.id)]

    def _adsz(self, proxy: str) -> Any:
        """Clients: who they are and what they watch."""
        clients = [_client(session) for session in self._sessions(proxy)]
        return {"totalClients": len(clients), "clients": clients}

    def _syncz(self, proxy: str) -> Any:
        """Clients: what they were sent and what they accepted."""
        return [_sync(session) for session in self._sessions(proxy)]

    def _configz(self, proxy: str) -> Any:
        """Resources in force, with where they are from, and everything wrong with the files."""
        found = [*self._library.problems, *self._hub.catalog.world.problems]
        return {
            "resources": [
                {"kind": one.meta.kind, "namespace": one.meta.namespace, "name": one.meta.name, "file": one.meta.file}
                for one in self._library.resources.values()
            ],
            "problems": [{"severity": problem.severity.value, "text": str(problem)} for problem in found],
        }

    def _registryz(self, proxy: str) -> Any:
        """Services with their endpoints, and who provides which interface."""
        world = self._hub.catalog.world
        services = [
            {
                "host": service.host,
                "namespace": service.namespace,
                "ports": {
                    port: [f"{one.address}:{one.port}" for one in service.endpoints.get(port, ())]
                    for port in service.ports
                },
            }
            for service in world.services.values()
        ]
        interfaces = {name: [_provider(one) for one in providers] for name, providers in world.providers.items()}
        return {"services": services, "interfaces": interfaces}

    def _metrics(self) -> str:
        hub = self._hub
        world = hub.catalog.world
        return self._tally.text(
            [
                Gauge("streams", "Streams that are open", len(hub.sessions)),
                Gauge("registrations", "Live registrations, held ones among them", len(hub.registry)),
                Gauge("services", "Services known", len(world.services)),
                Gauge("config_resources", "Resources of the folder in force", len(self._library.resources)),
                Gauge("config_problems", "Problems of the folder", len(self._library.problems) + len(world.problems)),
            ]
        )


def _json_page(page: Callable[[str], Any]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(page(request.query.get("proxyID", "")))

    return handle


def _text_page(page: Callable[[], str]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=page(), content_type="text/plain")

    return handle


def _provider(one: Provider) -> dict[str, Any]:
    pair = {name: value for name, value in (("group", one.group), ("version", one.version)) if value}
    return {"host": one.host, "port": one.port, "processes": one.count, **pair}


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _watches(session: Session) -> dict[str, Watch]:
    return session.machine.watches


def _client(session: Session) -> dict[str, Any]:
    region, zone, sub_zone = session.node.locality
    locality = {"region": region, "zone": zone, "sub_zone": sub_zone}
    return {
        "connectionId": session.connection,
        "connectedAt": _rfc3339(session.since),
        "address": session.peer,
        "labels": session.node.labels,
        "metadata": shown_metadata(session.machine.view, session.node),
        "locality": {name: value for name, value in locality.items() if value},
        "watches": {url: _names(watch) for url, watch in _watches(session).items()},
    }


def _names(watch: Watch) -> list[str]:
    """What is watched; for a wildcard what it brought, as istiod shows it."""
    return list(watch.told) if watch.wildcard else list(watch.names)


def _sync(session: Session) -> dict[str, Any]:
    metadata = session.node.metadata
    out: dict[str, Any] = {
        "cluster_id": metadata.get("CLUSTER_ID", "Kubernetes"),
        "proxy": session.node.name,
        "proxy_type": session.node.id.split("~")[0],
        "istio_version": metadata.get("ISTIO_VERSION", ""),
        "resources": {},
    }
    for url, watch in _watches(session).items():
        last = watch.last
        prefix = _SYNC_NAMES[url]
        out[f"{prefix}_sent"], out[f"{prefix}_acked"] = last.nonce, last.acked_nonce
        out["resources"][url] = {"sent": last.version, "acked": last.acked_version, "lastError": last.error}
    return out
