"""Documents of each kind: what is read, and what every mistake says: file, line, field path, what was expected."""

from __future__ import annotations

from datetime import timedelta
from textwrap import dedent

import pytest

from meshkit.control.documents import read_documents
from meshkit.control.kinds import parse
from meshkit.control.model import DestinationRule, ServiceEntry, VirtualService, WorkloadEntry
from meshkit.control.problems import Severity


def read(text: str):
    documents, problems = read_documents(dedent(text).lstrip("\n"), "conf.yaml")
    assert problems == []
    (document,) = documents
    return parse(document, "conf.yaml")


def spec(kind: str, body: str, version: str = "v1"):
    head = f"apiVersion: networking.istio.io/{version}\nkind: {kind}\nmetadata: {{name: x, namespace: demo}}\nspec:\n"
    lines = dedent(body).strip("\n").splitlines()
    return read(head + "\n".join("  " + line for line in lines) + "\n")


def texts(parsed) -> list[str]:
    return [str(problem) for problem in parsed.problems]


VS = "VirtualService"
DR = "DestinationRule"
SE = "ServiceEntry"
ROUTE = "http: [{route: [{destination: {host: a}}]}]"


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_a_virtual_service_is_read(version):
    parsed = spec(
        VS,
        """
        hosts: [a.demo.svc.cluster.local]
        http:
        - name: first
          match: [{headers: {user: {exact: admin}, any: {}}, uri: {prefix: /x}, port: 80, sourceLabels: {app: web}}]
          timeout: 1m30s
          retries: {attempts: 3, perTryTimeout: 250ms, retryOn: "unavailable,503"}
          route:
          - {destination: {host: a, subset: v1, port: {number: 80}}, weight: 90}
          - {destination: {host: a, subset: v2}, weight: 10}
        """,
        version,
    )
    assert parsed.problems == []
    service = parsed.resource
    assert isinstance(service, VirtualService)
    (rule,) = service.http
    assert rule.timeout == timedelta(seconds=90)
    assert rule.retries is not None and rule.retries.per_try_timeout == timedelta(milliseconds=250)
    assert [(one.destination.subset, one.weight) for one in rule.route] == [("v1", 90), ("v2", 10)]
    assert rule.match[0].headers["user"].exact == "admin"
    assert (service.meta.namespace, service.meta.name, service.meta.line) == ("demo", "x", 1)


def test_the_other_kinds_are_read():
    rule = spec(
        DR,
        "host: a\ntrafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}\nsubsets: [{name: v1, labels: {version: v1}}]",
    )
    assert isinstance(rule.resource, DestinationRule) and rule.problems == []
    entry = spec(
        SE,
        "hosts: [a.b]\nresolution: STATIC\nports: [{number: 80, name: h, protocol: grpc}]\n"
        "endpoints: [{address: 127.0.0.1}]",
    )
    assert isinstance(entry.resource, ServiceEntry) and entry.problems == []
    assert entry.resource.ports[0].protocol == "GRPC"
    workload = spec("WorkloadEntry", "address: 127.0.0.1\nlabels: {app: a}\nweight: 3")
    assert isinstance(workload.resource, WorkloadEntry) and workload.problems == []


# (kind, spec, line of the file, path, part of the text)
MISTAKES = [
    (VS, "http: []", 5, "spec", "expected hosts, which is missing"),
    (VS, f"hosts: []\n{ROUTE}", 5, "spec.hosts", "expected a list of at least 1"),
    (VS, f"hosts: a\n{ROUTE}", 5, "spec.hosts", "expected a list, found the text 'a'"),
    (VS, f"hosts: [1]\n{ROUTE}", 5, "spec.hosts[0]", "expected text, found the number 1; put it in quotes"),
    (VS, f"hosts: [true]\n{ROUTE}", 5, "spec.hosts[0]", "expected text, found the boolean true"),
    (VS, f"hosts: [a]\nhosts: [b]\n{ROUTE}", 6, "spec.hosts", "this key is here twice"),
    (VS, "hosts: [a]\nhttp:\n- rout: []", 7, "spec.http[0].rout", "did you mean route?"),
    (VS, "hosts: [a]\nhttp:\n- {}", 7, "spec.http[0]", "expected exactly one of route, redirect, directResponse"),
    (
        VS,
        "hosts: [a]\nhttp:\n- route:\n  - {destination: {host: a}, weight: 0}\n  - {destination: {host: b}, weight: 0}",
        8,
        "spec.http[0].route",
        "expected weights whose sum is above 0",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- route:\n  - destination: {host: a}\n    weight: -1",
        9,
        "spec.http[0].route[0].weight",
        "expected a whole number from 0 to 2147483647, found the number -1",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- timeout: 5\n  route: [{destination: {host: a}}]",
        7,
        "spec.http[0].timeout",
        "expected a duration such as 1.5s, 300ms or 1h30m, found the number 5",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- match: [{uri: {exact: /a, prefix: /b}}]\n  route: [{destination: {host: a}}]",
        7,
        "spec.http[0].match[0].uri",
        "expected exactly one of exact, prefix, regex",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- match: [{uri: {regex: '('}}]\n  route: [{destination: {host: a}}]",
        7,
        "spec.http[0].match[0].uri.regex",
        "not a regular expression",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- route: [{destination: {host: a}}]\n  retries: {attempts: 1, retryOn: sometimes}",
        8,
        "spec.http[0].retries.retryOn",
        "'sometimes' is not a retry condition",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- route: [{destination: {host: a}}]\n"
        "  fault:\n    abort: {percentage: {value: 101}, httpStatus: 500}",
        9,
        "spec.http[0].fault.abort.percentage.value",
        "expected a number from 0 to 100, found the number 101",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- route: [{destination: {host: a}}]\n  fault: {abort: {grpcStatus: NOPE}}",
        8,
        "spec.http[0].fault.abort.grpcStatus",
        "expected one of OK, CANCELLED",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- timeout: 99999999999999h\n  route: [{destination: {host: a}}]",
        7,
        "spec.http[0].timeout",
        "expected a duration",
    ),
    (
        VS,
        "hosts: [a]\nhttp:\n- match: [{uri: {regex: 'a{99999999999}'}}]\n  route: [{destination: {host: a}}]",
        7,
        "spec.http[0].match[0].uri.regex",
        "not a regular expression",
    ),
    (
        VS,
        f"hosts: [a]\nhttp:\n- route:\n  - destination: {{host: a}}\n    weight: {'9' * 5000}",
        9,
        "spec.http[0].route[0].weight",
        "expected a whole number",
    ),
    (VS, f"hosts: [pkg.Iface]\n{ROUTE}", 5, "spec.hosts[0]", "expected a host name in lower case"),
    (DR, "host: Pkg.Iface", 5, "spec.host", "expected a host name in lower case"),
    (DR, "subsets: []", 5, "spec", "expected host, which is missing"),
    (DR, "host: a\nsubsets:\n- name: v1\n- name: v1", 7, "spec.subsets", "found v1 more than once"),
    (
        DR,
        "host: a\nsubsets:\n- labels: {version: 1}\n  name: v1",
        7,
        "spec.subsets[0].labels.version",
        "put it in quotes",
    ),
    (
        DR,
        "host: a\ntrafficPolicy:\n  loadBalancer: {simple: FASTEST}",
        7,
        "spec.trafficPolicy.loadBalancer.simple",
        "expected one of ROUND_ROBIN, LEAST_REQUEST",
    ),
    (
        DR,
        "host: a\ntrafficPolicy:\n  loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}",
        7,
        "spec.trafficPolicy.loadBalancer",
        "expected at most one of simple, consistentHash",
    ),
    (SE, "hosts: [A.B]\nports: [{number: 1, name: a}]", 5, "spec.hosts[0]", "expected a host name in lower case"),
    (SE, "hosts: [a.b]\nports: [{number: 70000, name: a}]", 6, "spec.ports[0].number", "from 1 to 65535"),
    (SE, "hosts: [a.b]\nports: [{number: 1, name: a}, {number: 1, name: b}]", 6, "spec.ports", "expected different"),
    (
        SE,
        "hosts: [a.b]\nports: [{number: 1, name: a, protocol: SOAP}]",
        6,
        "spec.ports[0].protocol",
        "expected one of HTTP",
    ),
    (
        SE,
        "hosts: [a.b]\nresolution: STATIC\nports: [{number: 1, name: a}]\nendpoints: [{address: some.host}]",
        5,
        "spec",
        "expected an IP address or unix:///path",
    ),
    (
        SE,
        "hosts: [a.b]\nports: [{number: 1, name: a}]\nendpoints: [{address: 127.0.0.1}]",
        5,
        "spec",
        "expected no endpoints with resolution NONE",
    ),
    ("WorkloadEntry", "labels: {app: a}", 5, "spec", "expected address, which is missing"),
]


@pytest.mark.parametrize(("kind", "body", "line", "path", "words"), MISTAKES)
def test_a_mistake_is_named_with_its_place(kind, body, line, path, words):
    parsed = spec(kind, body)
    assert parsed.resource is None
    (problem,) = parsed.problems
    assert problem.severity is Severity.ERROR
    assert (problem.file, problem.line, problem.path) == ("conf.yaml", line, path)
    assert words in problem.text
    assert str(problem).startswith(f"conf.yaml:{line}: {kind} demo/x: {path}: ")


def test_all_mistakes_of_a_document_are_found_at_once():
    parsed = spec(VS, "hosts: [1, 2]\nhttp:\n- timeout: 1\n  route: [{destination: {hots: a}}]")
    assert [problem.path for problem in parsed.problems] == [
        "spec.hosts[0]",
        "spec.hosts[1]",
        "spec.http[0].timeout",
        "spec.http[0].route[0].destination.hots",
        "spec.http[0].route[0].destination",
    ]


@pytest.mark.parametrize(
    ("kind", "body", "path"),
    [
        (VS, "hosts: [a]\ntcp: []\n" + ROUTE, "spec.tcp"),
        (VS, "hosts: [a]\nhttp: [{corsPolicy: {}, route: [{destination: {host: a}}]}]", "spec.http[0].corsPolicy"),
        (VS, "hosts: [a]\nexportTo: [.]\n" + ROUTE, "spec.exportTo"),
        (DR, "host: a\ntrafficPolicy: {tls: {mode: ISTIO_MUTUAL}}", "spec.trafficPolicy.tls.mode"),
        (DR, "host: a\ntrafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}", "spec.trafficPolicy.loadBalancer.simple"),
        (DR, "host: a\nworkloadSelector: {}", "spec.workloadSelector"),
        (SE, "hosts: [a.b]\nports: [{number: 1, name: a}]\nsubjectAltNames: [x]", "spec.subjectAltNames"),
        ("WorkloadEntry", "address: 127.0.0.1\nserviceAccount: x", "spec.serviceAccount"),
    ],
)
def test_what_is_not_supported_is_named_and_the_rest_is_served(kind, body, path):
    parsed = spec(kind, body)
    assert parsed.resource is not None
    (problem,) = parsed.problems
    assert (problem.severity, problem.path) == (Severity.UNSUPPORTED, path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "expected a mapping with apiVersion, kind, metadata and spec"),
        ("kind: VirtualService", "expected apiVersion, which is missing"),
        ("apiVersion: networking.istio.io/v1\nkind: VirtualService\nspec: {}", "expected metadata, which is missing"),
        ("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {}\nspec: {}", "expected name"),
        (
            "apiVersion: networking.istio.io/v9\nkind: VirtualService\nmetadata: {name: x}\nspec: {}",
            "expected networking",
        ),
    ],
)
def test_the_envelope_is_checked(text, words):
    parsed = read(text)
    assert parsed.resource is None
    assert words in texts(parsed)[0]


def test_other_kinds_are_left_alone_whatever_is_in_them():
    parsed = read("apiVersion: v1\nkind: ConfigMap\ndata: {a: 1, a: 2}\nwhatever: [x]\n")
    assert (parsed.foreign, parsed.problems) == ("ConfigMap (v1)", [])
    parsed = read("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {}\n")
    assert parsed.foreign == "Gateway (networking.istio.io/v1)"
