"""Every projection table agrees with the protos: numbers, names, types, oneofs, and no field of a message is left out.

The truth is asked twice: the descriptors of xds-protos, and the classes of envoy_data_plane.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import envoy.extensions.clusters.aggregate.v3.cluster_pb2
import envoy.extensions.filters.http.rbac.v3.rbac_pb2
import envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2
import envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.client_side_weighted_round_robin_pb2
import envoy.extensions.load_balancing_policies.cluster_provided.v3.cluster_provided_pb2
import envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2
import envoy.extensions.load_balancing_policies.maglev.v3.maglev_pb2
import envoy.extensions.load_balancing_policies.pick_first.v3.pick_first_pb2
import envoy.extensions.load_balancing_policies.random.v3.random_pb2
import envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2
import envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2
import envoy.extensions.load_balancing_policies.wrr_locality.v3.wrr_locality_pb2
import envoy.extensions.transport_sockets.tls.v3.tls_pb2
import envoy.extensions.upstreams.http.v3.http_protocol_options_pb2
import envoy.service.discovery.v3.ads_pb2  # noqa: F401
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from meshkit.codec import Field, Schema
from meshkit.xds import messages
from meshkit.xds.cluster_tables import AGGREGATE, CLUSTER, HTTP_PROTOCOL_OPTIONS, LB_POLICIES
from meshkit.xds.endpoint_facts import METADATA
from meshkit.xds.endpoint_tables import CLUSTER_LOAD_ASSIGNMENT, INTERNAL_ADDRESS, PIPE
from meshkit.xds.listener_tables import DOWNSTREAM_TLS, HTTP_MANAGER, LISTENER, RBAC
from meshkit.xds.route_tables import ROUTE_CONFIGURATION

with warnings.catch_warnings():  # pydantic deprecates something that envoy_data_plane does at import
    warnings.simplefilter("ignore")
    import envoy_data_plane.envoy.config.cluster.v3 as bp_cluster
    import envoy_data_plane.envoy.config.endpoint.v3 as bp_endpoint
    import envoy_data_plane.envoy.config.route.v3 as bp_route

POOL = descriptor_pool.Default()
ROOTS = [
    ROUTE_CONFIGURATION,
    CLUSTER,
    CLUSTER_LOAD_ASSIGNMENT,
    LISTENER,
    DOWNSTREAM_TLS,
    HTTP_MANAGER,
    RBAC,
    AGGREGATE,
    HTTP_PROTOCOL_OPTIONS,
    *LB_POLICIES.values(),
    PIPE,
    INTERNAL_ADDRESS,
    METADATA,
    messages.DISCOVERY_REQUEST,
    messages.DISCOVERY_RESPONSE,
    messages.DELTA_REQUEST,
    messages.DELTA_RESPONSE,
]
KINDS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def tables(schema: Schema, seen: dict[int, Schema]) -> Iterator[Schema]:
    if id(schema) not in seen:
        seen[id(schema)] = schema
        yield schema
        for field in schema.fields:
            if field.schema is not None:
                yield from tables(field.target, seen)


def every_table() -> list[Schema]:
    seen: dict[int, Schema] = {}
    return [table for root in ROOTS for table in tables(root, seen)]


def kind_of(descriptor: FieldDescriptor) -> str:
    message = descriptor.message_type
    if message is None:
        return KINDS[descriptor.type]
    if message.GetOptions().map_entry:
        return "map"
    well_known = {"google.protobuf.Duration": "duration"}
    if (
        message.full_name.startswith("google.protobuf.")
        and message.full_name.endswith("Value")
        and message.name != "Value"
    ):
        return "wrapper" if message.name not in ("NullValue", "ListValue") else "message"
    return well_known.get(message.full_name, "message")


def check_field(field: Field, descriptor: FieldDescriptor) -> None:
    assert field.name in ("", descriptor.name)
    kind = kind_of(descriptor)
    if field.kind == "ignore":
        return
    assert field.repeated == (descriptor.is_repeated and kind != "map")
    oneof = descriptor.containing_oneof
    assert field.oneof in ("", oneof.name if oneof is not None else "")
    assert field.kind == kind or (kind == "message" and field.kind in ("raw", "inline"))
    if kind == "wrapper":
        assert field.value == KINDS[descriptor.message_type.fields_by_name["value"].type]
    if kind == "map" and field.value == "string":
        assert KINDS[descriptor.message_type.fields_by_name["value"].type] == "string"
    if field.kind in ("message", "inline"):
        assert field.target.name == descriptor.message_type.full_name


@pytest.mark.parametrize("schema", every_table(), ids=lambda schema: schema.name)
def test_table_is_what_the_proto_says(schema: Schema) -> None:
    descriptor: Descriptor = POOL.FindMessageTypeByName(schema.name)
    listed = {field.number for field in schema.fields} | set(schema.others)
    assert listed == set(descriptor.fields_by_number)
    for field in schema.fields:
        check_field(field, descriptor.fields_by_number[field.number])
    for number, name in schema.others.items():
        assert descriptor.fields_by_number[number].name == name


CLASSES = {
    **{f"envoy.config.route.v3.{cls.__name__}": cls for cls in vars(bp_route).values() if isinstance(cls, type)},
    **{f"envoy.config.cluster.v3.{cls.__name__}": cls for cls in vars(bp_cluster).values() if isinstance(cls, type)},
    **{f"envoy.config.endpoint.v3.{cls.__name__}": cls for cls in vars(bp_endpoint).values() if isinstance(cls, type)},
}


def class_of(schema: Schema) -> type[Any] | None:
    package, _, rest = schema.name.partition(".v3.")
    return CLASSES.get(f"{package}.v3.{rest.replace('.', '')}")


COMPARED = [schema for schema in every_table() if class_of(schema) is not None]


def test_enough_tables_are_compared() -> None:
    assert len(COMPARED) >= 30


@pytest.mark.parametrize("schema", COMPARED, ids=lambda schema: schema.name)
def test_table_is_what_envoy_data_plane_says(schema: Schema) -> None:
    cls = class_of(schema)
    assert cls is not None
    fields = {f.metadata["betterproto"].number: (f.name, f.metadata["betterproto"]) for f in dataclasses.fields(cls)}
    for field in schema.fields:
        if field.number not in fields:  # deprecated fields of newer protos that this release leaves out
            assert field.kind == "ignore", field
            continue
        name, meta = fields[field.number]
        assert field.name in ("", name.rstrip("_"))
        if field.kind in ("string", "bool", "enum", "uint32", "uint64", "int64", "double", "bytes", "map"):
            assert meta.proto_type == field.kind
            assert meta.repeated == field.repeated
        elif field.kind != "ignore":
            assert meta.proto_type == "message"
