"""The YAML of a VirtualService, as tables of shapes
(https://istio.io/latest/docs/reference/config/networking/virtual-service/)."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial

from yaml.nodes import Node

from meshkit.status import Status

from .model import (
    Abort,
    Delay,
    Destination,
    DirectResponse,
    Fault,
    HeaderOperations,
    Headers,
    HttpMatch,
    HttpRoute,
    Meta,
    Mirror,
    Percent,
    Redirect,
    RegexRewrite,
    Retries,
    Rewrite,
    RouteDestination,
    StringMatch,
    VirtualService,
)
from .problems import Severity
from .shape import (
    Field,
    Place,
    Shape,
    boolean,
    checked,
    choice,
    duration,
    integer,
    list_of,
    map_of,
    number,
    only,
    record,
    text,
)

__all__ = ["export_to", "host_name", "interval", "labels", "port_number", "port_selector", "virtual_service"]


_HOST = re.compile(r"\*\Z|(\*\.)?[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*\.?\Z")
_RETRY_ON = frozenset(
    "5xx gateway-error reset reset-before-request connect-failure retriable-4xx refused-stream retriable-status-codes "
    "retriable-headers envoy-ratelimited http3-post-connect-failure cancelled deadline-exceeded internal "
    "resource-exhausted unavailable".split()
)

labels = map_of(text)
port_number = integer(1, 65535)


def export_to(node: Node, place: Place) -> tuple[str, ...]:
    """``exportTo``, of which only ``*`` is obeyed: every client sees every resource."""
    value = list_of(text)(node, place)
    if "*" not in value:
        words = "not supported by this control plane, ignored: every namespace sees this resource"
        place.report.add(node, place.path, words, Severity.UNSUPPORTED)
    return value


def host_name(node: Node, place: Place) -> str:
    """A host: a full name, a short one, or one with a wildcard for its first part. In lower case, as every host is in
    Istio, interfaces too."""
    value = text(node, place)
    return value if _HOST.match(value) else place.fail(node, "a host name in lower case, such as a.b.example")


def _regex(node: Node, place: Place) -> str:
    """A regular expression. Clients use RE2; what Python cannot compile, RE2 cannot either, nearly always."""
    pattern = text(node, place)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        place.wrong(node, f"not a regular expression: {error}")
    return pattern


_STRING_FIELDS = {"exact": Field("exact", text), "prefix": Field("prefix", text), "regex": Field("regex", _regex)}
_string_match = record(StringMatch, _STRING_FIELDS, one_of=tuple(_STRING_FIELDS))
_any_value_match = record(StringMatch, _STRING_FIELDS)


def _exact(match: StringMatch, what: str) -> str:
    return "" if sum(part is not None for part in (match.exact, match.prefix, match.regex)) < 2 else what


_header_match = checked(_any_value_match, partial(_exact, what="expected at most one of exact, prefix, regex"))

_match = record(
    HttpMatch,
    {
        "name": Field("name", text),
        "uri": Field("uri", _string_match),
        "scheme": Field("scheme", _string_match),
        "method": Field("method", _string_match),
        "authority": Field("authority", _string_match),
        "headers": Field("headers", map_of(_header_match)),
        "withoutHeaders": Field("without_headers", map_of(_header_match)),
        "queryParams": Field("query_params", map_of(_header_match)),
        "ignoreUriCase": Field("ignore_uri_case", boolean),
        "port": Field("port", port_number),
        "sourceLabels": Field("source_labels", labels),
        "sourceNamespace": Field("source_namespace", text),
        "gateways": Field("gateways", list_of(text)),
    },
    unsupported=("statPrefix",),
)

port_selector = only("number", port_number)
_destination = record(
    Destination,
    {
        "host": Field("host", host_name, required=True),
        "subset": Field("subset", text),
        "port": Field("port", port_selector),
    },
)
_operations = record(
    HeaderOperations,
    {"set": Field("set", labels), "add": Field("add", labels), "remove": Field("remove", list_of(text))},
)
_headers = record(Headers, {"request": Field("request", _operations), "response": Field("response", _operations)})
_weight = integer(0, 2**31 - 1)
_route_destination = record(
    RouteDestination,
    {
        "destination": Field("destination", _destination, required=True),
        "weight": Field("weight", _weight),
        "headers": Field("headers", _headers),
    },
)


def _weights(destinations: tuple[RouteDestination, ...]) -> str:
    if len(destinations) > 1 and not sum(destination.weight for destination in destinations):
        return "expected weights whose sum is above 0"
    return ""


def _retry_on(node: Node, place: Place) -> str:
    value = text(node, place)
    words = [word.strip() for word in value.split(",")]
    for word in words:
        if word not in _RETRY_ON and not (word.isdigit() and 100 <= int(word) <= 599):
            place.wrong(
                node, f"{word!r} is not a retry condition; expected an HTTP status or {', '.join(sorted(_RETRY_ON))}"
            )
    return ",".join(words)


def _at_least_a_millisecond(value: timedelta) -> str:
    return "" if value >= timedelta(milliseconds=1) else "expected a duration of at least 1ms"


interval = checked(duration, _at_least_a_millisecond)
_retries = record(
    Retries,
    {
        "attempts": Field("attempts", integer(0, 2**31 - 1), required=True),
        "perTryTimeout": Field("per_try_timeout", interval),
        "retryOn": Field("retry_on", _retry_on),
        "backoff": Field("backoff", interval),
        "retryIgnorePreviousHosts": Field("ignore_previous_hosts", boolean),
    },
    unsupported=("retryRemoteLocalities",),
)

_percent = record(Percent, {"value": Field("value", number(0, 100), required=True)})


def _whole_percent(node: Node, place: Place) -> Percent:
    return Percent(float(integer(0, 100)(node, place)))


_delay = record(
    Delay,
    {
        "fixedDelay": Field("fixed_delay", interval, required=True),
        "percentage": Field("percentage", _percent),
        "percent": Field("percentage", _whole_percent),
    },
    unsupported=("exponentialDelay",),
)
_abort = record(
    Abort,
    {
        "httpStatus": Field("http_status", integer(200, 599)),
        "grpcStatus": Field("grpc_status", choice(*Status.__members__)),
        "percentage": Field("percentage", _percent),
    },
    unsupported=("http2Error",),
    one_of=("httpStatus", "grpcStatus"),
)
_fault = record(Fault, {"delay": Field("delay", _delay), "abort": Field("abort", _abort)})
_rewrite = record(
    Rewrite,
    {
        "uri": Field("uri", text),
        "authority": Field("authority", text),
        "uriRegexRewrite": Field(
            "uri_regex_rewrite",
            record(
                RegexRewrite,
                {"match": Field("match", _regex, required=True), "rewrite": Field("rewrite", text, required=True)},
            ),
        ),
    },
)
_redirect = record(
    Redirect,
    {
        "uri": Field("uri", text),
        "authority": Field("authority", text),
        "port": Field("port", port_number),
        "scheme": Field("scheme", text),
        "redirectCode": Field("redirect_code", integer(301, 308)),
    },
    unsupported=("derivePort",),
)


def _text_body(string: str | None = None) -> str | None:
    return string


_body = record(_text_body, {"string": Field("string", text)}, unsupported=("bytes",))
_direct_response = record(
    DirectResponse,
    {"status": Field("status", integer(200, 599), required=True), "body": Field("body", _body)},
)
_mirror = record(
    Mirror,
    {"destination": Field("destination", _destination, required=True), "percentage": Field("percentage", _percent)},
)


def _one_action(route: HttpRoute) -> str:
    actions = sum(1 for action in (route.route, route.redirect, route.direct_response) if action)
    return "" if actions == 1 else "expected exactly one of route, redirect, directResponse"


_http_route = checked(
    record(
        HttpRoute,
        {
            "name": Field("name", text),
            "match": Field("match", list_of(_match)),
            "route": Field("route", checked(list_of(_route_destination), _weights)),
            "redirect": Field("redirect", _redirect),
            "directResponse": Field("direct_response", _direct_response),
            "rewrite": Field("rewrite", _rewrite),
            "timeout": Field("timeout", duration),
            "retries": Field("retries", _retries),
            "fault": Field("fault", _fault),
            "mirror": Field("mirror", _destination),
            "mirrorPercentage": Field("mirror_percentage", _percent),
            "mirrorPercent": Field("mirror_percentage", _whole_percent),
            "mirrors": Field("mirrors", list_of(_mirror)),
            "headers": Field("headers", _headers),
        },
        unsupported=("delegate", "corsPolicy"),
    ),
    _one_action,
)

_FIELDS = {
    "hosts": Field("hosts", list_of(host_name, at_least=1), required=True),
    "gateways": Field("gateways", list_of(text)),
    "http": Field("http", list_of(_http_route)),
    "exportTo": Field("export_to", export_to),
}


def virtual_service(meta: Meta) -> Shape[VirtualService]:
    """The shape of the ``spec`` of the VirtualService that ``meta`` names."""
    return record(partial(VirtualService, meta), _FIELDS, unsupported=("tls", "tcp"))
