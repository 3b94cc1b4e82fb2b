"""Istio's pod environment, as its agent reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshkit.discovery import Pod, read_pod
from meshkit.discovery.pod import locality_of
from meshkit.xds.resources import Locality
from tests.support.events import captured_events


def test_nothing_is_said_outside_of_a_pod(tmp_path: Path) -> None:
    assert read_pod({"PATH": "/bin"}, str(tmp_path)) == Pod()


def test_the_pod_and_its_metadata(tmp_path: Path) -> None:
    pod = read_pod(
        {
            "POD_NAME": "shop-1",
            "POD_NAMESPACE": "prod",
            "SERVICE_ACCOUNT": "shop",
            "INSTANCE_IP": "10.0.0.5",
            "ISTIO_META_CLUSTER_ID": "c1",
            "ISTIO_META_GENERATOR": "grpc",
            "ISTIO_META_MESH_ID": "m1",
            "ISTIO_META_POD_PORTS": '[{"containerPort": 80}]',
            "ISTIO_METAJSON_LABELS": '{"app": "shop", "version": 2, "canary": true}',
            "ISTIO_METAJSON_MORE": '{"NETWORK": "n1", "EXTRA": {"a": 1}}',
        },
        str(tmp_path),
    )
    assert pod == Pod(
        name="shop-1",
        namespace="prod",
        addresses=("10.0.0.5",),
        service_account="shop",
        cluster_id="c1",
        generator="grpc",
        labels={"app": "shop", "version": "2", "canary": "true"},
        metadata={"MESH_ID": "m1", "POD_PORTS": '[{"containerPort": 80}]', "NETWORK": "n1", "EXTRA": {"a": 1}},
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"INSTANCE_IPS": "10.0.0.5, fd00::1", "INSTANCE_IP": "10.0.0.9"},
        {"ISTIO_META_INSTANCE_IPS": "10.0.0.5,fd00::1"},
        {"ISTIO_METAJSON_X": '{"INSTANCE_IPS": ["10.0.0.5", "fd00::1"]}'},
    ],
)
def test_several_addresses(environment: dict[str, str], tmp_path: Path) -> None:
    assert read_pod(environment, str(tmp_path)).addresses == ("10.0.0.5", "fd00::1")


def test_proxy_config_is_metadata_and_has_metadata(tmp_path: Path) -> None:
    config = '{"concurrency": 2, "proxyMetadata": {"ISTIO_META_A": "config", "ISTIO_META_B": "b", "C": "c"}}'
    metadata = read_pod({"PROXY_CONFIG": config, "ISTIO_META_A": "variable"}, str(tmp_path)).metadata
    assert (metadata["A"], metadata["B"], "C" in metadata) == ("variable", "b", False)
    assert isinstance(metadata["PROXY_CONFIG"], dict)


def test_files_of_the_downward_api_come_after_variables(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text('app="shop"\nversion="v1"\nsaid="a \\"b\\" \\n=c"\n')
    (tmp_path / "annotations").write_text('sidecar.istio.io/inject="true"\nlong="ignored"\n')
    pod = read_pod({"ISTIO_METAJSON_LABELS": '{"version": "v2"}'}, str(tmp_path))
    assert pod.labels == {"app": "shop", "version": "v2", "said": 'a "b" \n=c'}
    assert pod.metadata == {"ANNOTATIONS": {"sidecar.istio.io/inject": "true"}}


def test_a_line_that_makes_no_sense_is_said_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text('app="shop"\nwhat\nversion=1\n\n')
    with captured_events() as logs:
        assert read_pod({}, str(tmp_path)).labels == {"app": "shop"}
    assert [entry["line"] for entry in logs] == [2, 3]


@pytest.mark.parametrize(
    ("labels", "locality"),
    [
        ({"topology.istio.io/locality": "r/z/s"}, Locality("r", "z", "s")),
        ({"istio-locality": "r.z"}, Locality("r", "z")),
        ({"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}, Locality("r", "z")),
        ({"app": "x"}, None),
    ],
)
def test_labels_say_where_it_runs(labels: dict[str, str], locality: Locality | None) -> None:
    assert locality_of(labels) == locality


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ISTIO_METAJSON_LABELS", "{", "ISTIO_METAJSON_LABELS='{': must be a JSON object"),
        ("ISTIO_METAJSON_LABELS", "[]", "ISTIO_METAJSON_LABELS='[]': must be a JSON object"),
        ("PROXY_CONFIG", "http://proxy", "PROXY_CONFIG='http://proxy': must be a JSON object"),
        ("ISTIO_META_LABELS", "x", "LABELS='x': Expecting value"),
        ("INSTANCE_IP", "$(POD_IP)", "INSTANCE_IPS='$(POD_IP)': '$(POD_IP)' does not appear to be"),
        ("ISTIO_METAJSON_X", '{"CLUSTER_ID": 1}', "CLUSTER_ID=1: must be text"),
    ],
)
def test_what_istio_could_not_read_is_said_and_left_out(name: str, value: str, said: str, tmp_path: Path) -> None:
    with captured_events() as logs:
        assert read_pod({name: value, "POD_NAME": "a"}, str(tmp_path)) == Pod(name="a")
    (event,) = logs
    assert event["problem"].startswith(said)


@pytest.mark.parametrize("line", ["a=" + "-" * 100_000 + "1", "a=" + "1+" * 100_000 + "1", "a=" + "(" * 1000])
def test_a_line_that_is_nested_too_deep_is_left_out(tmp_path, line):
    tmp_path.joinpath("labels").write_text(f'{line}\nb="c"\n')
    pod = read_pod({"ISTIO_METAJSON_X": "[" * 100_000}, str(tmp_path))
    assert (dict(pod.labels), dict(pod.metadata)) == ({"b": "c"}, {})
