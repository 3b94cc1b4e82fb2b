"""``meshkit k8s mapping``: what it prints, that it is what it says, and that calls by interface follow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from meshkit.cli.k8s import mapping
from meshkit.errors import ConfigError
from meshkit.mesh import Mesh
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.waiting import until
from tests.support.world import control_plane, greeter, who_answers, write_rule

MODULE = "tests.support.gen.helloworld.v1.greeter_mesh"
PROTOS = Path(__file__).parents[1] / "support" / "protos"

VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: helloworld-v1-greeter
  namespace: demo
spec:
  hosts:
    - helloworld.v1.greeter
  http:
    - route:
        - destination:
            host: greeter.demo.svc.cluster.local
            port:
              number: 50051
"""


def printed(capsys: pytest.CaptureFixture[str], *sources: str, service: str = "greeter", **options: Any) -> str:
    mapping(sources, service=service, **options)
    return capsys.readouterr().out


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def test_a_virtual_service_by_interface(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, MODULE, namespace="demo", port=50051) == VIRTUAL_SERVICE


def test_several_sources_are_one_text_in_the_order_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, MODULE, "tests.support.gen.echo.v1.echo_mesh", MODULE)
    assert [one["metadata"]["name"] for one in documents(found)] == ["echo-v1-echo", "helloworld-v1-greeter"]
    assert found == printed(capsys, "tests.support.gen.echo.v1.echo_mesh", MODULE)


def test_a_module_with_servicers_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "tests.support.world") == printed(capsys, MODULE)


def test_proto_files_and_folders_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, str(PROTOS / "helloworld" / "v1" / "greeter.proto")) == printed(capsys, MODULE)
    assert len(documents(printed(capsys, str(PROTOS)))) > 1


def test_subsets_have_weights_and_are_texts(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = documents(printed(capsys, MODULE, subset=["v1=90", "2=10"]))
    routes = found["spec"]["http"][0]["route"]
    assert [(one["destination"]["subset"], one["weight"]) for one in routes] == [("v1", 90), ("2", 10)]


def test_a_service_entry_selects_pods(capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"kind": "ServiceEntry", "port": 50051, "selector": ["app=greeter", "on=true"]}
    (found,) = documents(printed(capsys, MODULE, **options))
    assert found["kind"] == "ServiceEntry"
    assert found["spec"]["workloadSelector"] == {"labels": {"app": "greeter", "on": "true"}}
    assert found["spec"]["ports"] == [{"number": 80, "name": "grpc", "protocol": "GRPC", "targetPort": 50051}]


@pytest.mark.parametrize(
    ("sources", "options", "said"),
    [
        (["nowhere.at_all"], {}, "'nowhere.at_all': there is no module 'nowhere' here"),
        (["json"], {}, "'json' has no services; name a generated module"),
        (["missing.proto"], {}, "missing.proto"),
        ([MODULE], {"service": "My_Service"}, "--service: 'My_Service.default.svc.cluster.local' is no host name"),
        ([MODULE], {"port": 0}, "--port: 0 is no port"),
        ([MODULE], {"subset": ["v1"]}, "--subset: 'v1' is not name=value"),
        ([MODULE], {"subset": ["v1=all"]}, "--subset: v1=all has no weight"),
        ([MODULE], {"subset": ["v1=0"]}, "all weights are 0"),
        ([MODULE], {"subset": ["v1=1"], "kind": "ServiceEntry"}, "a ServiceEntry has no subsets"),
    ],
)
def test_what_cannot_be_is_said(sources: list[str], options: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said.replace("(", r"\(")):
        mapping(sources, **{"service": "greeter", **options})


@pytest.mark.parametrize(("name", "why"), [("Greeter", "no package"), ("my_company.v1.Greeter", "letters, digits")])
def test_an_interface_that_is_no_host_is_said(tmp_path: Path, name: str, why: str) -> None:
    package, _, service = name.rpartition(".")
    line = f"package {package};\n" if package else ""
    (tmp_path / "one.proto").write_text(f'syntax = "proto3";\n{line}service {service} {{}}\n')
    with pytest.raises(ConfigError, match=f"interface {name} cannot be a host of Istio.*{why}"):
        mapping([str(tmp_path)], service="greeter")


def test_a_module_that_fails_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="'needs_more' cannot be imported: No module named 'nothing_of_this_name'"):
        mapping(["needs_more"], service="greeter")


async def test_calls_by_interface_follow_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The servers are of another service than the one that has registered the interface by itself."""
    write_rule(tmp_path, "mapping", printed(capsys, MODULE, service="other"))
    async with (
        control_plane(tmp_path) as plane,
        greeter(plane.port, "mine"),
        greeter(plane.port, "other", "other"),
        Mesh(f"127.0.0.1:{plane.port}", wait=10) as mesh,
    ):
        client = GreeterClient(mesh)

        async def followed() -> bool:
            return set(await who_answers(client, 20)) == {"other"}

        await until(followed)
