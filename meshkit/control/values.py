"""Small Envoy values that several builders need."""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import Metadata
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType
from envoy_data_plane.google.protobuf import Any, ListValue, Struct, Value

from .making import make
from .model import Meta, Percent

__all__ = ["any_of", "fraction", "istio_metadata", "services_metadata", "struct"]

_PLURALS = {"VirtualService": "virtual-service", "DestinationRule": "destination-rule"}


def any_of(url: str, message: bytes = b"") -> Any:
    """A google.protobuf.Any of a message by its full name."""
    return make(Any, type_url=f"type.googleapis.com/{url}", value=message)


def struct(**texts: str) -> Struct:
    """A google.protobuf.Struct of texts."""
    return make(Struct, fields={name: make(Value, string_value=text) for name, text in texts.items()})


def config_path(meta: Meta) -> str:
    """The path by which Istio names a resource in metadata."""
    return f"/apis/networking.istio.io/v1/namespaces/{meta.namespace}/{_PLURALS[meta.kind]}/{meta.name}"


def istio_metadata(meta: Meta) -> Metadata:
    """The metadata that says which Istio resource something was made from."""
    return make(Metadata, filter_metadata={"istio": struct(config=config_path(meta))})


def services_metadata(host: str, namespace: str, meta: Meta | None = None, subset: str = "") -> Metadata:
    """The metadata of a cluster: whose it is, and the DestinationRule and subset it obeys."""
    service = struct(host=host, name=host, namespace=namespace)
    fields = {"services": make(Value, list_value=make(ListValue, values=[make(Value, struct_value=service)]))}
    if meta is not None:
        fields["config"] = make(Value, string_value=config_path(meta))
    if subset:
        fields["subset"] = make(Value, string_value=subset)
    return make(Metadata, filter_metadata={"istio": make(Struct, fields=fields)})


def fraction(percent: Percent) -> FractionalPercent:
    """A percentage in parts per million, as Istio writes it."""
    million = FractionalPercentDenominatorType.MILLION
    return make(FractionalPercent, numerator=round(percent.value * 10_000), denominator=million)
