"""HTTPRoute, Ingress and Service of the chart on a real API server, the first with the Gateway API's kinds.

These come with its Go module, which gateway_api/go.mod pins.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import tools
from scripts.chart import CHART, HELM4, Manifest, RenderError, render
from tests.api.conftest import make_namespace
from tests.api.control_plane import ControlPlane, Refused
from tests.render.scenarios import BY_NAME
from tests.support.go_modules import module_directory
from tests.support.waiting import wait_until

MODULE = Path(__file__).parent / "gateway_api"
GROUP = "gateway.networking.k8s.io"
NAMESPACE = "routed"
ROUTE: dict[str, Any] = {
    "enabled": True,
    "parentRefs": [
        {"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443},
        {"name": "internal", "kind": "Gateway", "group": GROUP},
    ],
    "hostnames": ["airflow.example.com", "*.example.org"],
    "path": "/team-a/b.c",
    "annotations": {"example.com/owner": "data"},
    "labels": {"team": "data"},
}
SERVICE = {
    "type": "LoadBalancer",
    "annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
    "nodePort": 30080,
    "loadBalancerClass": "service.k8s.aws/nlb",
    "loadBalancerSourceRanges": ["10.0.0.0/8"],
}


def helm(plane: ControlPlane, scratch: Path, values: Mapping[str, Any]) -> str:
    """Install or upgrade a release, and give what Helm says if it fails."""
    file = scratch / "values.json"
    file.write_text(json.dumps(values))
    # Without values, Helm would take those of before.
    command = [
        tools.path(HELM4),
        "upgrade",
        "--install",
        "--reset-values",
        "r",
        CHART,
        "--namespace",
        NAMESPACE,
    ]
    done = subprocess.run(
        [*command, "--create-namespace", "--values", file, "--kubeconfig", plane.kubeconfig],
        capture_output=True,
        text=True,
        env={**os.environ, "HELM_CACHE_HOME": str(scratch)},
    )
    return done.stderr if done.returncode else ""


def listed(plane: ControlPlane, path: str) -> dict[str, Any]:
    return {
        item["metadata"]["name"]: item
        for item in plane.admin.request("GET", f"{path.replace('NS', NAMESPACE)}")["items"]
    }


def kinds() -> Iterator[dict[str, Any]]:
    """The CustomResourceDefinitions of the pinned module, downloaded if Go's cache lacks it."""
    directory = module_directory("sigs.k8s.io/gateway-api", MODULE) / "config/crd/standard"
    for name in ("gatewayclasses", "gateways", "httproutes"):
        yield from yaml.safe_load_all((directory / f"{GROUP}_{name}.yaml").read_text())


def test_without_the_kind_helm_says_so_and_installs_nothing(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """This test is the first one: afterwards the API server has the kind."""
    said = helm(control_plane, tmp_path, {"httpRoute": ROUTE})
    assert f'no matches for kind "HTTPRoute" in version "{GROUP}/v1"' in said
    assert "ensure CRDs are installed first" in said
    with pytest.raises(Refused):
        control_plane.admin.request("GET", f"/api/v1/namespaces/{NAMESPACE}-r-tasks")
    assert not listed(control_plane, "/apis/apps/v1/namespaces/NS/deployments")


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the kinds of the Gateway API."""
    for kind in kinds():
        control_plane.admin.apply(kind)

    def served() -> bool:
        try:
            found = control_plane.admin.request("GET", f"/apis/{GROUP}/v1")["resources"]
        except Refused:
            return False
        return "httproutes" in {each["name"] for each in found}

    wait_until(served, 60, "HTTPRoutes are served")
    make_namespace(control_plane, "airdock")
    return control_plane


def routes(values: Mapping[str, Any]) -> Manifest:
    return render({"httpRoute": {**ROUTE, **values}}).one("HTTPRoute")


def test_the_kind_takes_the_route(plane: ControlPlane) -> None:
    """Strictly: an unknown field is an error."""
    for route in (routes({}), routes({"path": "/"}), BY_NAME["behind-a-gateway"].render().one("HTTPRoute")):
        stored = plane.admin.apply(route)
        spec = stored["spec"]
        assert spec["hostnames"] == list(route.get("spec", "hostnames"))
        assert [each["name"] for each in spec["parentRefs"]] == [
            each["name"] for each in route.get("spec", "parentRefs")
        ]
        (rule,) = spec["rules"]
        assert rule["matches"][0]["path"] == dict(route.get("spec", "rules")[0]["matches"][0]["path"])
        (backend,) = rule["backendRefs"]
        assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "airdock-api-server", 8080)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "/a//b"),
        ("path", "/a/../b"),
        ("path", "/a/."),
        ("path", "/a?b"),
        ("path", "a"),
        ("hostnames", ["a..b"]),
        ("hostnames", ["a.example.com:443"]),
        ("hostnames", ["*"]),
        ("hostnames", [f"h{number}.example.com" for number in range(17)]),
        ("parentRefs", [{"name": "a", "port": 0}]),
        ("parentRefs", [{"name": "a", "sectionName": "A"}]),
        ("parentRefs", [{"name": f"g{number}"} for number in range(33)]),
    ],
)
def test_what_the_kind_refuses_the_values_refuse(plane: ControlPlane, field: str, value: Any) -> None:
    with pytest.raises(RenderError, match=f"/httpRoute/{field}"):
        routes({field: value})
    raw = json.loads(json.dumps(routes({}).raw, default=dict))
    if field == "path":
        raw["spec"]["rules"][0]["matches"][0]["path"]["value"] = value
    else:
        raw["spec"][field] = value
    with pytest.raises(Refused):
        plane.admin.apply(raw, dry_run=True)


def test_the_ingress_with_several_hosts(plane: ControlPlane) -> None:
    found = BY_NAME["behind-an-ingress"].render().one("Ingress")
    stored = plane.admin.apply(found)["spec"]
    assert [rule["host"] for rule in stored["rules"]] == [
        "airflow.example.com",
        "airflow.example.org",
        "flow.example.com",
    ]


def test_helm_adds_and_removes_the_route_and_the_load_balancer(plane: ControlPlane, tmp_path: Path) -> None:
    values = {"httpRoute": ROUTE, "controlPlane": {"apiServer": {"service": SERVICE}}}

    def seen() -> tuple[set[str], dict[str, Any]]:
        found = listed(plane, f"/apis/{GROUP}/v1/namespaces/NS/httproutes")
        return set(found), listed(plane, "/api/v1/namespaces/NS/services")["r-airdock-api-server"]

    assert not helm(plane, tmp_path, values)
    names, service = seen()
    assert names == {"r-airdock-api-server"}
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["ports"][0]["nodePort"] == 30080
    assert service["metadata"]["annotations"].items() >= SERVICE["annotations"].items()  # type: ignore[attr-defined]
    assert not helm(plane, tmp_path, {})
    names, service = seen()
    assert not names
    assert service["spec"]["type"] == "ClusterIP"
    assert "nodePort" not in service["spec"]["ports"][0]
