"""A document of YAML -> one Istio resource: the envelope (apiVersion, kind, metadata) and the table of kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from yaml.nodes import MappingNode, Node

from .destination_rule import destination_rule
from .documents import Document, line_of, mapping_entries
from .model import Meta, Resource
from .problems import Problem, Severity
from .service_entry import service_entry, workload_entry
from .shape import Field, Invalid, Place, Report, Shape, map_of, record, text
from .virtual_service import virtual_service

__all__ = ["KINDS", "Parsed", "foreign_problem", "parse"]

KINDS: dict[str, Callable[[Meta], Shape[Resource]]] = {
    "VirtualService": virtual_service,
    "DestinationRule": destination_rule,
    "ServiceEntry": service_entry,
    "WorkloadEntry": workload_entry,
}
"""What this control plane serves, by ``kind``."""

_GROUP = "networking.istio.io"
_VERSIONS = ("v1", "v1beta1", "v1alpha3")


@dataclass(slots=True)
class Parsed:
    """What became of one document. ``meta`` is there once kind and name could be read, ``resource`` if all was well."""

    meta: Meta | None = None
    resource: Resource | None = None
    foreign: str = ""
    """The kind, if it is one that this control plane does not serve."""
    problems: list[Problem] = field(default_factory=list[Problem])


def _any(node: Node, place: Place) -> Node:
    return node


def _name(name: str, namespace: str = "default", **rest: object) -> tuple[str, str]:
    return name, namespace


def _head(api_version: str, kind: str) -> tuple[str, str]:
    return api_version, kind


def _parts(api_version: str, kind: str, metadata: tuple[str, str], spec: Node, status: object = None) -> _Parts:
    return metadata, spec


_Parts = tuple[tuple[str, str], Node]
_metadata = record(
    _name,
    {
        "name": Field("name", text, required=True),
        "namespace": Field("namespace", text),
        "labels": Field("labels", map_of(text)),
        "annotations": Field("annotations", map_of(text)),
        **{
            name: Field(name, _any)
            for name in (
                "creationTimestamp",
                "finalizers",
                "generateName",
                "generation",
                "managedFields",
                "ownerReferences",
                "resourceVersion",
                "selfLink",
                "uid",
            )
        },
    },
)
_KIND = {
    "apiVersion": Field("api_version", text, required=True),
    "kind": Field("kind", text, required=True),
}
_kind_only = record(_head, _KIND)


def parse(document: Document, file: str) -> Parsed:
    """Read one document. Never raises: what is wrong with it is in ``problems``."""
    report = Report(file, document.base)
    parsed = Parsed(problems=report.problems)
    try:
        _parse(document, report, parsed)
    except Invalid:
        parsed.resource = None
    return parsed


def _parse(document: Document, report: Report, parsed: Parsed) -> None:
    root, place = document.root, Place(report)
    api_version, kind = _read_kind(root, place)
    if kind not in KINDS or not api_version.startswith(_GROUP + "/"):
        parsed.foreign = f"{kind} ({api_version})"
        return
    envelope = record(
        _parts,
        _KIND
        | {
            "metadata": Field("metadata", _metadata, required=True),
            "spec": Field("spec", _any, required=True),
            "status": Field("status", _any),
        },
    )
    (name, namespace), spec = envelope(root, place)
    parsed.meta = Meta(kind, name, namespace, report.file, line_of(root, report.base))
    report.resource = str(parsed.meta)
    if api_version.partition("/")[2] not in _VERSIONS:
        place.at("apiVersion").wrong(root, f"expected {_GROUP}/ and one of {', '.join(_VERSIONS)}")
    parsed.resource = KINDS[kind](parsed.meta)(spec, place.at("spec"))


def _read_kind(root: Node, place: Place) -> tuple[str, str]:
    """apiVersion and kind, whatever else is in the document: it may be of somebody else's kind."""
    if not isinstance(root, MappingNode):
        place.fail(root, "a mapping with apiVersion, kind, metadata and spec")
    head = [(entry.key, entry.value) for entry in mapping_entries(root)[0] if entry.name in _KIND]
    return _kind_only(MappingNode(root.tag, head, root.start_mark, root.end_mark), place)


def foreign_problem(file: str, kinds: list[str]) -> Problem:
    """One line for all documents of a file whose kind is not served here."""
    words = f"not served by this control plane: {', '.join(sorted(set(kinds)))}"
    return Problem(file, 0, "", words, severity=Severity.UNSUPPORTED)
