"""Server reflection, v1 and v1alpha (grpc/doc/server-reflection.md): what `grpcurl` and `meshkit call` ask servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from meshkit.codec import Field, Schema, compile_schema
from meshkit.status import Status

from .context import Context
from .descriptors import DescriptorIndex
from .files import REFLECTION_V1, REFLECTION_V1ALPHA
from .method import Method
from .servicer import Servicer

__all__ = [
    "ErrorResponse",
    "ExtensionNumberResponse",
    "ExtensionRequest",
    "FileDescriptorResponse",
    "ListServiceResponse",
    "ServerReflectionRequest",
    "ServerReflectionResponse",
    "ServiceResponse",
    "reflection_methods",
    "reflection_services",
]


@dataclass(frozen=True, slots=True)
class ExtensionRequest:
    """An extension: the message it extends, and its number."""

    containing_type: str = ""
    extension_number: int = 0


@dataclass(frozen=True, slots=True)
class ServerReflectionRequest:
    """One question: exactly one of the fields after ``host`` is not None."""

    host: str = ""
    file_by_filename: str | None = None
    file_containing_symbol: str | None = None
    file_containing_extension: ExtensionRequest | None = None
    all_extension_numbers_of_type: str | None = None
    list_services: str | None = None


@dataclass(frozen=True, slots=True)
class FileDescriptorResponse:
    """Serialized ``FileDescriptorProto``: the file asked for, and what it imports."""

    file_descriptor_proto: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtensionNumberResponse:
    """The extensions of a message."""

    base_type_name: str = ""
    extension_number: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """A service's full name."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class ListServiceResponse:
    """All services."""

    service: tuple[ServiceResponse, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """Why there is no answer: a gRPC status code and a text."""

    error_code: int = 0
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class ServerReflectionResponse:
    """One answer: exactly one of the last four fields is not None."""

    valid_host: str = ""
    original_request: ServerReflectionRequest | None = None
    file_descriptor_response: FileDescriptorResponse | None = None
    all_extension_numbers_response: ExtensionNumberResponse | None = None
    list_services_response: ListServiceResponse | None = None
    error_response: ErrorResponse | None = None


_EXTENSION = Schema(
    "ExtensionRequest",
    (Field("containing_type", 1, "string"), Field("extension_number", 2, "int32")),
    build=ExtensionRequest,
)
_REQUEST = Schema(
    "ServerReflectionRequest",
    (
        Field("host", 1, "string"),
        Field("file_by_filename", 3, "string", oneof="message_request"),
        Field("file_containing_symbol", 4, "string", oneof="message_request"),
        Field("file_containing_extension", 5, "message", oneof="message_request", schema=_EXTENSION),
        Field("all_extension_numbers_of_type", 6, "string", oneof="message_request"),
        Field("list_services", 7, "string", oneof="message_request"),
    ),
    build=ServerReflectionRequest,
)
_FILES = Schema(
    "FileDescriptorResponse",
    (Field("file_descriptor_proto", 1, "bytes", repeated=True),),
    build=FileDescriptorResponse,
)
_NUMBERS = Schema(
    "ExtensionNumberResponse",
    (Field("base_type_name", 1, "string"), Field("extension_number", 2, "int32", repeated=True)),
    build=ExtensionNumberResponse,
)
_SERVICE = Schema("ServiceResponse", (Field("name", 1, "string"),), build=ServiceResponse)
_SERVICES = Schema(
    "ListServiceResponse",
    (Field("service", 1, "message", repeated=True, schema=_SERVICE),),
    build=ListServiceResponse,
)
_ERROR = Schema(
    "ErrorResponse", (Field("error_code", 1, "int32"), Field("error_message", 2, "string")), build=ErrorResponse
)
_RESPONSE = Schema(
    "ServerReflectionResponse",
    (
        Field("valid_host", 1, "string"),
        Field("original_request", 2, "message", schema=_REQUEST),
        Field("file_descriptor_response", 4, "message", oneof="message_response", schema=_FILES),
        Field("all_extension_numbers_response", 5, "message", oneof="message_response", schema=_NUMBERS),
        Field("list_services_response", 6, "message", oneof="message_response", schema=_SERVICES),
        Field("error_response", 7, "message", oneof="message_response", schema=_ERROR),
    ),
    build=ServerReflectionResponse,
)

Answer = dict[str, Any]  # the one field of the response that is set


class _Reflection(Servicer):
    """What both versions of the service do; their messages differ in nothing but the package's name."""

    def __init__(self, index: DescriptorIndex, services: Sequence[str]) -> None:
        self._index = index
        self._services = tuple(sorted(services))

    async def server_reflection_info(
        self, requests: AsyncIterator[ServerReflectionRequest], ctx: Context, /
    ) -> AsyncIterator[ServerReflectionResponse]:
        """Answers each request; files that this stream was sent already are not sent again as dependencies."""
        sent: set[str] = set()
        async for request in requests:
            yield ServerReflectionResponse(request.host, request, **self._answer(request, sent))

    def _answer(self, request: ServerReflectionRequest, sent: set[str]) -> Answer:
        for field, answer in self._ANSWERS.items():
            value = getattr(request, field)
            if value is not None:
                return answer(self, value, sent)
        return _error(Status.INVALID_ARGUMENT, "the request asks nothing")

    def _by_name(self, name: str, sent: set[str]) -> Answer:
        return self._file(name, f"file {name!r}", sent)

    def _by_symbol(self, symbol: str, sent: set[str]) -> Answer:
        return self._file(self._index.file_of(symbol.lstrip(".")), f"symbol {symbol!r}", sent)

    def _by_extension(self, wanted: ExtensionRequest, sent: set[str]) -> Answer:
        file = self._index.file_of_extension(wanted.containing_type.lstrip("."), wanted.extension_number)
        return self._file(file, f"extension {wanted.extension_number} of {wanted.containing_type!r}", sent)

    def _extension_numbers(self, message: str, sent: set[str]) -> Answer:
        numbers = self._index.extensions_of(message.lstrip("."))
        if numbers is None:
            return _error(Status.NOT_FOUND, f"message {message!r} is not known here")
        return {"all_extension_numbers_response": ExtensionNumberResponse(message, numbers)}

    def _list(self, ignored: str, sent: set[str]) -> Answer:
        return {"list_services_response": ListServiceResponse(tuple(ServiceResponse(name) for name in self._services))}

    def _file(self, name: str | None, what: str, sent: set[str]) -> Answer:
        files = None if name is None else self._index.closure(name)
        if files is None:
            return _error(Status.NOT_FOUND, f"{what} is not known here")
        fresh = tuple(data for each, data in files.items() if each == name or each not in sent)
        sent.update(files)
        return {"file_descriptor_response": FileDescriptorResponse(fresh)}

    _ANSWERS: ClassVar[dict[str, Callable[[Any, Any, set[str]], Answer]]] = {
        "file_by_filename": _by_name,
        "file_containing_symbol": _by_symbol,
        "file_containing_extension": _by_extension,
        "all_extension_numbers_of_type": _extension_numbers,
        "list_services": _list,
    }


def _error(status: Status, text: str) -> Answer:
    return {"error_response": ErrorResponse(status.value, text)}


def _method(service: str) -> Method[ServerReflectionRequest, ServerReflectionResponse]:
    return Method(
        f"/{service}/ServerReflectionInfo",
        ServerReflectionRequest,
        ServerReflectionResponse,
        True,
        True,
        name="server_reflection_info",
        request_codec=compile_schema(_REQUEST),
        reply_codec=compile_schema(_RESPONSE),
    )


_V1, _V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"
reflection_methods = (_method(_V1), _method(_V1ALPHA))
"""``ServerReflectionInfo`` of v1 and of v1alpha, for clients: the newer one first."""


class _ReflectionV1(_Reflection):
    __service_name__ = _V1
    __methods__ = (reflection_methods[0],)
    __file_descriptor__ = REFLECTION_V1


class _ReflectionV1Alpha(_Reflection):
    __service_name__ = _V1ALPHA
    __methods__ = (reflection_methods[1],)
    __file_descriptor__ = REFLECTION_V1ALPHA


def reflection_services(files: Sequence[bytes], services: Sequence[str]) -> tuple[Servicer, ...]:
    """Reflection over ``files`` (serialized ``FileDescriptorProto``) that lists ``services`` and itself."""
    index = DescriptorIndex()
    index.add([*files, REFLECTION_V1, REFLECTION_V1ALPHA])
    names = tuple(dict.fromkeys((*services, _V1, _V1ALPHA)))
    return (_ReflectionV1(index, names), _ReflectionV1Alpha(index, names))
