"""``meshkit k8s``: what Kubernetes has to be told."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from meshkit.cli.manifests import Target, render, service_entry, virtual_service
from meshkit.cli.modules import imported
from meshkit.errors import ConfigError, MissingExtra
from meshkit.mesh.settings import name_values

__all__ = ["mapping"]

_MAKERS = {"VirtualService": virtual_service, "ServiceEntry": service_entry}


def mapping(
    sources: Sequence[str],
    /,
    *,
    service: str,
    namespace: str = "default",
    port: int = 80,
    kind: Literal["VirtualService", "ServiceEntry"] = "VirtualService",
    subset: Sequence[str] = (),
    selector: Sequence[str] = (),
    proto_path: Annotated[Sequence[Path], Parameter(name=["--proto-path", "-I"])] = (),
) -> None:
    """Print the manifests by which Istio knows interfaces: hosts that are called as the interfaces are, on port 80.

    Parameters
    ----------
    sources
        Generated modules (gen.helloworld.v1.greeter_mesh), modules with servicers, .proto files or folders of them.
    service
        The Service that serves the interfaces: a name in the namespace, or a full host.
    namespace
        The namespace of the manifests, and of the Service.
    port
        The Service's port; for a ServiceEntry the port that the pods listen on.
    kind
        VirtualService routes to a Service that is there. ServiceEntry needs none: it selects pods itself.
    subset
        Where a VirtualService routes to: subsets of a DestinationRule with their weights, as v1=90.
    selector
        The labels of the pods that a ServiceEntry selects, as app=greeter; app=SERVICE where not given.
    proto_path
        Where imports of .proto files are looked for.
    """
    found = _of_protos([Path(one) for one in sources if _is_proto(one)], proto_path)
    for name in sources:
        found += [] if _is_proto(name) else _of_module(name)
    target = Target(
        service=service,
        namespace=namespace,
        port=port,
        subsets=_pairs("--subset", subset),
        labels=_pairs("--selector", selector) or {"app": service.partition(".")[0]},
    )
    if subset and kind != "VirtualService":
        raise ConfigError("--subset: a ServiceEntry has no subsets; use it with --kind VirtualService")
    manifests = [_MAKERS[kind](interface, target) for interface in sorted(set(found))]
    sys.stdout.write(render(manifests))


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    try:
        return name_values(words)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def _is_proto(source: str) -> bool:
    path = Path(source)
    return path.suffix == ".proto" or (path.is_dir() and any(path.rglob("*.proto")))


def _of_protos(protos: Sequence[Path], proto_path: Sequence[Path]) -> list[str]:
    if not protos:
        return []
    try:
        from meshkit_codegen import service_names
    except ImportError:
        raise MissingExtra("reading .proto files", "gen") from None
    if found := service_names(protos, proto_path=proto_path):
        return found
    raise ConfigError(f"{', '.join(map(str, protos))}: there are no services in there")


def _of_module(name: str) -> list[str]:
    try:
        module = imported(name)
    except ImportError as error:
        raise ConfigError(f"{name!r} cannot be imported: {error}") from None
    if found := sorted(set(_served(vars(module).values()))):
        return found
    raise ConfigError(f"{name!r} has no services; name a generated module, such as gen.helloworld.v1.greeter_mesh")


def _served(values: Iterable[object]) -> Iterator[str]:
    from meshkit.mesh.serving import interfaces_of
    from meshkit.rpc import Servicer

    for value in values:
        if isinstance(value, type) and issubclass(value, Servicer) and value.__service_name__:
            yield from interfaces_of((value.__service_name__,))
