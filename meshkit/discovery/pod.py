"""What Kubernetes and Istio tell a process of its own pod, read as Istio's agent does (pkg/bootstrap/config.go).

    POD_NAME POD_NAMESPACE SERVICE_ACCOUNT INSTANCE_IP INSTANCE_IPS    the pod; several IPs with commas between
    ISTIO_META_<KEY>=text                                              node metadata KEY, as text
    ISTIO_METAJSON_<any>={"KEY": ...}                                  node metadata, any number of keys
    ISTIO_METAJSON_LABELS={"app": "shop"}                              labels of the workload
    PROXY_CONFIG={...}                                                 metadata, and ISTIO_META_* of its proxyMetadata
    <folder>/labels, <folder>/annotations                              files of the downward API: key="value" lines

Variables win over files. Istio ends a stream whose metadata has a wrong type, so types are seen to here; what cannot be
understood is said and left out, as the agent does it: such a variable may be meant for somebody else.
"""

from __future__ import annotations

import ast
import ipaddress
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from meshkit.observe.log import event_logger
from meshkit.xds import Json
from meshkit.xds.resources import Locality

__all__ = ["POD_INFO", "Pod", "locality_of", "pod_of", "read_pod"]

POD_INFO = "/etc/istio/pod"
_LOG = event_logger("meshkit.discovery")
_META, _META_JSON = "ISTIO_META_", "ISTIO_METAJSON_"
_LOCALITY_LABELS = ("topology.istio.io/locality", "istio-locality")
_TOPOLOGY_LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


@dataclass(frozen=True, slots=True)
class Pod:
    """What is known of the workload that this process is; empty where nothing is.

    ``node_id`` and ``cluster``: the node's, where somebody named them whole. ``metadata``: what has no field here.
    """

    node_id: str = ""
    cluster: str = ""
    name: str = ""
    namespace: str = ""
    addresses: tuple[str, ...] = ()
    service_account: str = ""
    cluster_id: str = ""
    generator: str = ""
    locality: Locality | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def over(self, other: Pod) -> Pod:
        """This, and where it says nothing, ``other``; labels and metadata are merged by key."""
        return Pod(**{item.name: _merged(getattr(self, item.name), getattr(other, item.name)) for item in fields(Pod)})


def _merged(first: Any, second: Any) -> Any:
    if isinstance(first, Mapping):
        return {**second, **cast("Mapping[str, Any]", first)}
    return first or second


def read_pod(environment: Mapping[str, str], folder: str = POD_INFO) -> Pod:
    """The pod of these variables and of the downward API's files in ``folder``, where there are any."""
    metadata = {**_annotations(Path(folder, "annotations")), **_metadata(environment)}
    ips = environment.get("INSTANCE_IPS") or environment.get("INSTANCE_IP") or metadata.get("INSTANCE_IPS", "")
    variables = {
        "NAME": environment.get("POD_NAME", ""),
        "NAMESPACE": environment.get("POD_NAMESPACE", ""),
        "SERVICE_ACCOUNT": environment.get("SERVICE_ACCOUNT", ""),
        "INSTANCE_IPS": ips,
    }
    said = pod_of({**metadata, **{name: value for name, value in variables.items() if value}}, _left_out)
    return said.over(Pod(labels=_downward(Path(folder, "labels"))))


def pod_of(metadata: Mapping[str, Json], reject: Callable[[str], object]) -> Pod:
    """The pod that node metadata speaks of. ``reject`` is told of what Istio could not read, which is left out."""
    rest = dict(metadata)
    found: dict[str, Any] = {}
    for key, (name, convert) in _FIELDS.items():
        if key in rest:
            value = rest.pop(key)
            try:
                found[name] = convert(value)
            except ValueError as error:
                reject(f"{key}={value!r}: {error}")
    return Pod(**found, metadata=rest)


def _left_out(problem: str) -> None:
    _LOG.warning("variable of the pod not understood, and left out", problem=problem)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _addresses(value: Json) -> tuple[str, ...]:
    """Istio wants one text with commas; a list, which would end the stream, is understood too."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list):
        raise ValueError("must be IP addresses with commas between")
    return tuple(str(ipaddress.ip_address(str(word).strip())) for word in words if word)


def _strings(value: Json) -> dict[str, str]:
    """A map of text to text; what is not text is written as JSON, for Istio takes nothing else."""
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in value.items()}


_FIELDS: Mapping[str, tuple[str, Callable[[Json], Any]]] = {
    "NAME": ("name", _text),
    "NAMESPACE": ("namespace", _text),
    "SERVICE_ACCOUNT": ("service_account", _text),
    "INSTANCE_IPS": ("addresses", _addresses),
    "CLUSTER_ID": ("cluster_id", _text),
    "GENERATOR": ("generator", _text),
    "LABELS": ("labels", _strings),
}


def locality_of(labels: Mapping[str, str]) -> Locality | None:
    """Where labels say that a workload runs, in Istio's forms and in Kubernetes'."""
    for name in _LOCALITY_LABELS:
        if text := labels.get(name):
            parts = text.split("/") if "/" in text else text.split(".")
            return Locality(*parts[:3])
    parts = [labels.get(name, "") for name in _TOPOLOGY_LABELS]
    return Locality(*parts) if any(parts) else None


def _metadata(environment: Mapping[str, str]) -> dict[str, Json]:
    config = _object(environment, "PROXY_CONFIG")
    metadata: dict[str, Json] = {"PROXY_CONFIG": config} if config else {}
    more = config.get("proxyMetadata")
    for source in (more if isinstance(more, dict) else {}, environment):
        metadata |= {name.removeprefix(_META): value for name, value in source.items() if name.startswith(_META)}
    for name in environment:
        if name.startswith(_META_JSON):
            found = _object(environment, name)
            metadata |= {"LABELS": found} if name == _META_JSON + "LABELS" else found
    return metadata


def _object(environment: Mapping[str, str], name: str) -> dict[str, Json]:
    text = environment.get(name)
    try:
        value: Json = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    _left_out(f"{name}={text!r}: must be a JSON object")
    return {}


def _annotations(path: Path) -> dict[str, Json]:
    """Those that mean something to Istio; others can be long, and a node goes out with every stream."""
    annotations: dict[str, Json] = {key: value for key, value in _downward(path).items() if "istio.io/" in key}
    return {"ANNOTATIONS": annotations} if annotations else {}


def _downward(path: Path) -> dict[str, str]:
    try:
        return dict(_lines(path, path.read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        _LOG.warning("file of the downward API not read", path=str(path), error=str(error))
        return {}


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """``key="value"``, quoted as Go does it, which Python's literals understand."""
    for number, line in enumerate(text.splitlines(), 1):
        key, _, quoted = line.partition("=")
        try:
            value = ast.literal_eval(quoted)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deep
            value = None
        if isinstance(value, str):
            yield key, value
        elif line.strip():
            _LOG.warning('line is not key="value"', path=str(path), line=number)
