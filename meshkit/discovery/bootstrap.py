"""gRPC's bootstrap file: where the control plane is, how to be let in, and who this process is there.

Formats: gRFC A27 (servers, node), A36 (listener names of servers), A29 (certificate providers), A65 (``tls``
credentials), A97 (``jwt_token_file``). Istio's agent writes one that leads to its unix socket, and takes one stream
there at a time (pkg/istio-agent/grpcxds).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from meshkit.errors import ConfigError
from meshkit.net import TlsSettings
from meshkit.net.address import parse_address
from meshkit.xds import Json
from meshkit.xds.resources import Locality

from .credentials import SYSTEM_ROOTS, control_plane_tls
from .pod import Pod, pod_of

__all__ = ["Bootstrap", "CertificateProvider", "find_bootstrap", "parse_bootstrap"]

_FILE, _INLINE = "GRPC_XDS_BOOTSTRAP", "GRPC_XDS_BOOTSTRAP_CONFIG"
_HTTPS_PORT = 443  # what gRPC takes where a name has no port
_Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CertificateProvider:
    """An entry of ``certificate_providers``: ``plugin`` is ``file_watcher``, with its ``config``."""

    plugin: str
    config: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What a bootstrap file says. ``source`` names it; ``address`` is that of its first server that can be used.

    ``token_file``: "" for none. ``listener_template`` makes the name of a server's listener, ``%s`` its address.
    """

    source: str
    address: str
    tls: TlsSettings | None = None
    token_file: str = ""
    pod: Pod = field(default_factory=Pod)
    listener_template: str = ""
    certificate_providers: Mapping[str, CertificateProvider] = field(default_factory=dict[str, CertificateProvider])


def find_bootstrap(environment: Mapping[str, str]) -> Bootstrap | None:
    """The bootstrap that the variables name, a file before JSON inline. Raises ConfigError if it cannot be used."""
    if path := environment.get(_FILE):
        try:
            return parse_bootstrap(Path(path).read_text(), f"{_FILE}={path}")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"environment variable {_FILE}={path!r} cannot be read: {error}") from None
    if text := environment.get(_INLINE):
        return parse_bootstrap(text, _INLINE)
    return None


def parse_bootstrap(text: str, source: str) -> Bootstrap:
    """The bootstrap in ``text``. Raises ConfigError, with ``source`` and the field, if it cannot be used."""
    try:
        return _bootstrap(_is(_json(text), dict, "it"), source)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"bootstrap {source}: {error}") from None


def _bootstrap(root: _Object, source: str) -> Bootstrap:
    server = _server(_list(root, "xds_servers"))
    tls = _channel(server)
    return Bootstrap(
        source=source,
        address=_address(_text(server, "server_uri")),
        tls=tls,
        token_file=_token_file(server) if tls is not None else "",
        pod=_pod(_object(root, "node")),
        listener_template=_text(root, "server_listener_resource_name_template"),
        certificate_providers={
            name: _provider(_is(entry, dict, f"certificate_providers.{name}"))
            for name, entry in _object(root, "certificate_providers").items()
        },
    )


def _provider(entry: _Object) -> CertificateProvider:
    return CertificateProvider(_text(entry, "plugin_name"), _object(entry, "config"))


# -- the server -------------------------------------------------------------------------------------------------------


def _server(servers: list[_Object]) -> _Object:
    """The first that can be used: gRPC falls back along this list (A71), we only skip what we cannot speak."""
    for server in servers:
        if any(_text(entry, "type") in _CHANNELS for entry in _list(server, "channel_creds")):
            return server
    kinds = sorted({_text(entry, "type") for server in servers for entry in _list(server, "channel_creds")})
    raise ValueError(
        f"no entry of xds_servers has channel_creds of a known type ({', '.join(_CHANNELS)}); "
        f"there are: {', '.join(kinds) or 'none'}"
    )


def _channel(server: _Object) -> TlsSettings | None:
    entry = next(entry for entry in _list(server, "channel_creds") if entry.get("type") in _CHANNELS)
    return _CHANNELS[entry["type"]](_object(entry, "config"))


def _tls(config: _Object) -> TlsSettings:
    cert, key = _text(config, "certificate_file"), _text(config, "private_key_file")
    if bool(cert) != bool(key):
        raise ValueError("channel_creds tls: certificate_file and private_key_file go together")
    return control_plane_tls((_text(config, "ca_certificate_file") or SYSTEM_ROOTS,), "", cert or None, key or None)


_CHANNELS: Mapping[str, Callable[[_Object], TlsSettings | None]] = {"insecure": lambda config: None, "tls": _tls}


def _token_file(server: _Object) -> str:
    for entry in _list(server, "call_creds"):
        if entry.get("type") == "jwt_token_file":
            return _text(_object(entry, "config"), "jwt_token_file")
    return ""


def _address(uri: str) -> str:
    """A gRPC target (grpc/doc/naming.md) as an address of ours."""
    scheme, colon, rest = uri.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        text = uri.replace("unix:///", "unix:/", 1)
    elif colon and scheme in ("dns", "ipv4", "ipv6", "passthrough"):
        text = rest.removeprefix("//").partition("/")[2] if rest.startswith("//") else rest
    else:
        text = uri
    if ":" not in text.rpartition("]")[2] and text:
        text = f"{text}:{_HTTPS_PORT}"
    try:
        return parse_address(text).text
    except ConfigError:
        raise ValueError(
            f"xds_servers: server_uri {uri!r} is none of host:port, dns:///host:port, unix:///path"
        ) from None


# -- the node ---------------------------------------------------------------------------------------------------------


def _pod(node: _Object) -> Pod:
    place = _object(node, "locality")
    locality = Locality(*(_text(place, key) for key in ("region", "zone", "sub_zone")))
    identity, metadata = _identity(_text(node, "id")), _object(node, "metadata")
    pod = pod_of({**identity, **metadata}, _reject)
    named = Pod(
        node_id="" if identity else _text(node, "id"),
        cluster=_text(node, "cluster"),
        locality=None if locality == Locality() else locality,
    )
    return named.over(pod)


def _reject(problem: str) -> None:
    raise ValueError(f"node.metadata: {problem}")


def _identity(text: str) -> dict[str, Json]:
    """The metadata that Istio's id, ``sidecar~IP~POD.NAMESPACE~DOMAIN``, stands for. It is made anew of them, so that
    its domain begins with the namespace: in Istio's own sample it is ``cluster.local``, which makes istiod take
    ``cluster`` for the namespace. Nothing for an id of another control plane, which is kept as it is."""
    if "~" not in text:
        return {}
    parts = text.split("~")
    if len(parts) != 4:
        raise ValueError(f"node.id {text!r} has {len(parts)} parts; Istio's is sidecar~IP~POD.NAMESPACE~DOMAIN")
    name, _, namespace = parts[2].rpartition(".")
    return {"INSTANCE_IPS": parts[1], "NAME": name, "NAMESPACE": namespace}


# -- JSON -------------------------------------------------------------------------------------------------------------


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


_KINDS: Mapping[type, str] = {dict: "a JSON object", list: "a list of objects", str: "text"}


def _is(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {_KINDS[kind]}")
    return value


def _object(parent: _Object, name: str) -> _Object:
    return cast(_Object, _is(parent.get(name) or {}, dict, name))


def _text(parent: _Object, name: str) -> str:
    return cast(str, _is(parent.get(name) or "", str, name))


def _list(parent: _Object, name: str) -> list[_Object]:
    return [_is(entry, dict, name) for entry in _is(parent.get(name) or [], list, name)]
