"""The protoc plugin ``protoc-gen-meshkit``, and `generate`, which needs no protoc on the machine."""

from .errors import ProtoError
from .generate import generate, service_names
from .main import main
from .options import Messages, Options

__all__ = ["Messages", "Options", "ProtoError", "generate", "main", "service_names"]
