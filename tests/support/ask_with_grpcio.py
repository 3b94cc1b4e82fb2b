"""Asks the server at argv[1] with grpcio's health and reflection packages, and prints what it learned as JSON.

A process of its own: these packages register the same messages as grpclib's do, and one process takes only one of them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main(address: str, text: str) -> dict[str, Any]:
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        method = pool.FindServiceByName("echo.v1.Echo").FindMethodByName("Unary")
        request = message_factory.GetMessageClass(method.input_type)
        reply = message_factory.GetMessageClass(method.output_type)
        call = channel.unary_unary("/echo.v1.Echo/Unary", request.SerializeToString, reply.FromString)
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
        plain = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(host="h", list_services="")])
        )
        learned = {
            "services": list(database.get_services()),
            "empty": pool.FindServiceByName("echo.v1.Echo").FindMethodByName("Nothing").input_type.full_name,
            "reply": call(request(text=text)).text,
            "check": health.Check(health_pb2.HealthCheckRequest(service="echo.v1.Echo")).status,
            "watch": next(watch).status,
            "host": next(plain).valid_host,
        }
        watch.cancel()
        return learned


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))
