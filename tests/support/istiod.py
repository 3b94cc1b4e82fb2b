"""A real istiod (``tests/peers/istiod``) as a process of a test: its own ports, folder of YAML, CA and mesh config.

    async with running_istiod(tmp_path) as istiod:
        await istiod.apply("reviews", YAML)      # returns once istiod has taken the file in
        mesh = Mesh(istiod.address, ...)

`Istiod.apply` returns when the objects are stored; a push follows after the debounce, which is 10 ms here (Istio's own
100 ms makes every test wait). A stream opened in between gets the old state first: tests wait for what they expect.
Nothing here is bound to an event loop, so one istiod can serve all tests of a module.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.support.files import save
from tests.support.gopeers import go_peer

__all__ = ["SERVER_NAME", "Istiod", "Refused", "running_istiod", "token"]

SERVER_NAME = "istiod.istio-system.svc"  # in the certificate of the secure port; 127.0.0.1 is in it too, by _MESH
_MESH = "defaultConfig: {discoveryAddress: 127.0.0.1:15012}\n"
_START = 180.0  # seconds; it takes half of one on an idle machine
_APPLY = 60.0
_LOOK = 0.01


class Refused(Exception):
    """istiod does not take a file; its reason."""


class Istiod:
    """One istiod. ``folder`` gets ``yaml/``, ``ca/``, ``mesh.yaml`` and the process's output.

    ``mesh``: the MeshConfig. ``max_age``: seconds after which it ends every connection (plus up to a tenth, and ten
    seconds of grace). ``environment`` adds Istio's variables (``PILOT_*``, ``ENABLE_DEBUG_ENDPOINT_AUTH``...).
    """

    def __init__(
        self,
        folder: Path,
        *,
        mesh: str = _MESH,
        max_age: float = 0.0,
        environment: Mapping[str, str] = {},
        token_key: str = "test",
        log_level: str = "error",
    ) -> None:
        self.folder = folder
        self.yaml = folder / "yaml"
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._flags = ["-dir", str(self.yaml), "-mesh", str(folder / "mesh.yaml"), "-caDir", str(folder / "ca")]
        self._flags += ["-tokenKey", token_key, "-logLevel", log_level]
        if max_age:
            self._flags += ["-maxAge", f"{max_age}s"]
        self._environment = {"PILOT_DEBOUNCE_AFTER": "10ms", **environment}
        self._out, self._err = folder / "istiod.out", folder / "istiod.err"
        self.yaml.mkdir(parents=True, exist_ok=True)
        self.mesh_config(mesh)

    def __repr__(self) -> str:
        return f"Istiod({self.folder}, {self.ports})"

    # -- where it is ---------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """The plaintext xDS port: what is 15010 in a cluster."""
        return f"127.0.0.1:{self.ports['xds']}"

    @property
    def secure_address(self) -> str:
        """The xDS and CA port with TLS: what is 15012 in a cluster."""
        return f"127.0.0.1:{self.ports['secure']}"

    @property
    def root_cert(self) -> Path:
        """The certificate that signs all others; the same after a restart."""
        return self.folder / "ca" / "root-cert.pem"

    async def debug(self, page: str) -> Any:
        """What a debug page says, such as ``adsz``, ``syncz``, ``config_dump?proxyID=...``."""
        return json.loads(await asyncio.to_thread(_get, f"http://127.0.0.1:{self.ports['http']}/debug/{page}"))

    async def watchers(self) -> list[dict[str, Any]]:
        """The ADS streams that istiod has now, with node metadata and, by type URL, the names each asked for, in order.

        istiod keeps these names as a set, and lists them as it finds them.
        """
        clients = list((await self.debug("adsz")).get("clients") or ())
        for client in clients:
            client["watches"] = {kind: sorted(names) for kind, names in (client.get("watches") or {}).items()}
        return clients

    def log(self) -> str:
        """What it wrote on stderr."""
        return self._err.read_text()

    # -- the process ---------------------------------------------------------------------------------------------------

    async def start(self, *flags: str) -> None:
        """Start it, or start it again with the same ports, CA and files; returns when it serves. ``flags`` add to, and
        win over, those of before."""
        assert self.process is None, "it runs"
        self._flags += flags
        ports = [word for name, port in self.ports.items() for word in (f"-{name}", f"127.0.0.1:{port}")]
        with self._out.open("wb") as out, self._err.open("ab") as err:
            words = [str(go_peer("istiod")), *self._flags, *ports]
            # Not asyncio's subprocess, which belongs to one loop: tests of a module have one each.
            environment = os.environ | self._environment
            self.process = subprocess.Popen(words, stdout=out, stderr=err, env=environment)  # noqa: ASYNC220
        ready = (await self._said("ready ", 0, _START))[-1]
        addresses = json.loads(ready.removeprefix("ready "))
        self.ports = {name: int(address.rpartition(":")[2]) for name, address in addresses.items()}

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it: by SIGKILL, which nobody is told of, or by SIGTERM, with GOAWAY and a second of grace."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(timeout=60)

    async def restart(self) -> None:
        """``kill -9`` and a new start with the same ports, CA and files."""
        self.stop()
        await self.start()

    # -- what it is told -----------------------------------------------------------------------------------------------

    async def apply(self, name: str, *documents: str | Mapping[str, Any]) -> None:
        """Put ``<name>.yaml`` in force, whole: text, or objects. One at a time. Raises Refused with istiod's reason."""
        text = "\n---\n".join(one if isinstance(one, str) else json.dumps(one) for one in documents)
        await self._change(self.yaml / f"{name}.yaml", text)

    async def delete(self, name: str) -> None:
        """Take ``<name>.yaml`` away, and with it all that was in it."""
        await self._change(self.yaml / f"{name}.yaml", None)

    async def clear(self) -> None:
        """Take every file away, as between two tests; a push follows for who still listens."""
        for path in sorted(self.yaml.glob("*.yaml")):
            await self.delete(path.stem)

    def mesh_config(self, text: str) -> None:
        """Replace the MeshConfig; a running istiod reads it again by itself."""
        save(self.folder / "mesh.yaml", text)

    async def _change(self, path: Path, text: str | None) -> None:
        if (path.read_text() if path.exists() else None) == text:
            return
        seen = len(self._lines())
        if text is None:
            path.unlink()
        else:
            save(path, text)
        if self.process is None:
            return
        for line in await self._said("applied ", seen, _APPLY):
            if line.startswith(f"rejected {path.name}: "):
                raise Refused(line)

    async def _said(self, word: str, seen: int, limit: float) -> list[str]:
        """The lines after the first ``seen``, once one of them starts with ``word``."""
        assert self.process is not None
        deadline = time.monotonic() + limit
        while not any(line.startswith(word) for line in self._lines()[seen:]):
            if self.process.poll() is not None or time.monotonic() > deadline:
                state = "runs, but" if self.process.poll() is None else f"ended with {self.process.returncode} and"
                raise RuntimeError(f"istiod {state} never said {word!r}: {self._lines()} {self.log()[-2000:]}")
            await asyncio.sleep(_LOOK)
        return self._lines()[seen:]

    def _lines(self) -> list[str]:
        """The whole lines of its stdout."""
        return self._out.read_text().split("\n")[:-1] if self._out.exists() else []


@asynccontextmanager
async def running_istiod(folder: Path, **settings: Any) -> AsyncGenerator[Istiod]:
    """An istiod that serves, for as long as the block runs; settings as of `Istiod`."""
    istiod = Istiod(folder, **settings)
    try:
        await istiod.start()
        yield istiod
    finally:
        istiod.stop()


def token(
    namespace: str, account: str, *, audience: Iterable[str] = ("istio-ca",), ttl: float = 3600, key: str = "test"
) -> str:
    """A service-account token that istiod accepts, good for ``ttl`` seconds (a negative one has expired)."""
    body = {"sub": f"system:serviceaccount:{namespace}:{account}", "aud": list(audience), "exp": int(time.time() + ttl)}
    signed = b".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, body))
    return b".".join((signed, _base64(hmac.digest(key.encode(), signed, hashlib.sha256)))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _get(url: str) -> bytes:
    with urlopen(url, timeout=_APPLY) as answer:
        return bytes(answer.read())
