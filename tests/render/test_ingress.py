"""ingress, httpRoute and the Service of the api-server: who reaches the UI, by which names."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, Manifests, RenderError, render
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.render.scenarios import BY_NAME
from tests.render.values import FAB_INGRESS, overlaid

API = "airdock-api-server"
HOST = "airflow.example.com"
TYPE = "ImplementationSpecific"
STRANGER = Endpoint(address="203.0.113.7")
ROUTE: dict[str, Any] = {
    "enabled": True,
    "parentRefs": [{"name": "public", "namespace": "gateways"}],
    "hostnames": [HOST],
}


def ingress(**values: Any) -> dict[str, Any]:
    return {"ingress": {"enabled": True, "host": HOST, **values}}


def base_url(manifests: Manifests) -> str | None:
    """As every Airflow container sees it."""
    found = {
        manifests.environment(manifest, container).get("AIRFLOW__API__BASE_URL")
        for manifest, _, container in manifests.containers
        if "AIRFLOW_CONFIG" in container.env
    }
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_each_host_has_its_secret(helm: str) -> None:
    """Hosts of one Secret are one entry: of two with the same Secret, cert-manager reads one."""
    hosts = {
        "b.example.com": {"tlsSecretName": "own"},
        "a.example.com": {},
        "*.example.org": {"tlsSecretName": ""},
        "c.example.com": {"tlsSecretName": None},
    }
    found = render(ingress(tlsSecretName="shared", hosts=hosts, path="/a", pathType=TYPE), helm=helm)
    spec = found.one("Ingress").get("spec")
    assert {entry["secretName"]: list(entry["hosts"]) for entry in spec["tls"]} == {
        "own": ["b.example.com"],
        "shared": [HOST, "a.example.com", "c.example.com"],
    }
    assert len(spec["tls"]) == 2
    assert [rule["host"] for rule in spec["rules"]] == [HOST, *sorted(hosts)]
    first, *others = (rule["http"] for rule in spec["rules"])
    assert first["paths"][0]["pathType"] == TYPE
    assert all(other == first for other in others)
    assert base_url(found) == f"https://{HOST}/a"


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"hostnames": ["b.example.com", HOST, "*.example.org"]}, "https://b.example.com"),
        ({"scheme": "http", "path": "/a/"}, f"http://{HOST}/a"),
    ],
)
def test_the_route(values: dict[str, Any], url: str) -> None:
    found = render({"httpRoute": {**ROUTE, **values}})
    assert base_url(found) == url
    spec = found.one("HTTPRoute", api_version="gateway.networking.k8s.io/v1", name=API).get("spec")
    assert list(spec["hostnames"]) == values.get("hostnames", [HOST])
    (rule,) = spec["rules"]
    (match,) = rule["matches"]
    assert dict(match["path"]) == {"type": "PathPrefix", "value": values.get("path", "/")}


def test_the_ingress_has_the_base_url_while_both_are_there() -> None:
    route = {"httpRoute": {**ROUTE, "hostnames": ["*.example.org"], "path": "/team-a"}}
    found = render(overlaid(FAB_INGRESS, route))
    assert base_url(found) == f"https://{HOST}/team-a"
    assert found.all("HTTPRoute")


def test_a_base_url_of_the_configuration_wins() -> None:
    config = {"airflow": {"config": {"api": {"base_url": "https://other.example.com/deep/down"}}}}
    found = render({**config, "httpRoute": {**ROUTE, "hostnames": ["*.example.com"], "path": "/deep/"}})
    assert base_url(found) == "https://other.example.com/deep/down"
    with pytest.raises(RenderError, match=r"httpRoute.path: /de does not include /deep/down.*base_url"):
        render({**config, "httpRoute": {**ROUTE, "path": "/de"}})


@pytest.mark.parametrize("name", ["behind-an-ingress", "behind-a-gateway"])
def test_the_examples_admit_the_controller_alone(name: str) -> None:
    scenario = BY_NAME[name]
    manifests = scenario.render()
    api = manifests.one("Deployment", name=API)
    assert api.pod
    (peer,) = scenario.values["networkPolicy"]["uiFrom"]
    labels = peer["podSelector"]["matchLabels"]
    home = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    end = reach.endpoint(api, api.pod)
    assert reach.allowed(manifests, end, Endpoint(home, labels), 8080, "Ingress")
    for other in (Endpoint(home, {"app": "other"}), Endpoint("other", labels), STRANGER):
        assert not reach.allowed(manifests, end, other, 8080, "Ingress"), other


@pytest.mark.parametrize(
    ("values", "open_to_all"),
    [
        ({}, False),
        ({"httpRoute": ROUTE}, True),
        ({"controlPlane": {"apiServer": {"service": {"type": "NodePort"}}}}, True),
    ],
)
def test_without_named_clients_who_publishes_admits_all(values: dict[str, Any], open_to_all: bool) -> None:
    manifests = render(values)
    api = manifests.one("Deployment", name=API)
    assert api.pod
    end = reach.endpoint(api, api.pod)
    assert reach.allowed(manifests, end, STRANGER, 8080, "Ingress") is open_to_all


def test_the_service() -> None:
    service = {
        "type": "LoadBalancer",
        "annotations": {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"},
        "nodePort": 30080,
        "loadBalancerClass": "service.k8s.aws/nlb",
        "loadBalancerSourceRanges": ["10.0.0.0/8", "fd00::/8"],
    }
    found = render({"controlPlane": {"apiServer": {"service": service}}}).one("Service", name=API)
    assert dict(found.annotations) == service["annotations"]
    spec = found.get("spec")
    assert spec["type"] == "LoadBalancer"
    assert spec["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert list(spec["loadBalancerSourceRanges"]) == service["loadBalancerSourceRanges"]
    assert spec["ports"][0]["nodePort"] == 30080
    plain = render().one("Service", name=API).get("spec")
    assert not plain.keys() - {"selector", "ports"}


TRUSTED = ["10.1.0.0/16", "fd00::/64"]


@pytest.mark.parametrize(
    ("values", "trusted", "secure"),
    [
        ({}, None, False),
        (ingress(), None, False),
        (ingress(tlsSecretName="tls"), "*", True),
        ({"httpRoute": ROUTE}, "*", True),
        ({"httpRoute": {**ROUTE, "scheme": "http"}}, None, False),
        ({"airflow": {"config": {"api": {"base_url": "https://a.example.com/b"}}}}, "*", True),
        (
            {
                **ingress(tlsSecretName="tls"),
                "airflow": {"config": {"api": {"base_url": "http://a.example.com"}}},
            },
            None,
            False,
        ),
        (
            {
                **ingress(tlsSecretName="tls"),
                "controlPlane": {"apiServer": {"service": {"trustedProxies": TRUSTED}}},
            },
            ",".join(TRUSTED),
            True,
        ),
        ({"controlPlane": {"apiServer": {"service": {"trustedProxies": TRUSTED[:1]}}}}, TRUSTED[0], False),
        (
            {
                **ingress(tlsSecretName="tls"),
                "airflow": {"config": {"fab": {"cookie_secure": False}}},
            },
            "*",
            False,
        ),
    ],
)
def test_whose_forwarded_headers_count(values: dict[str, Any], trusted: str | None, secure: bool) -> None:
    """Those of the proxy if users come by https, which only the proxy knows; no other pod reads any."""
    manifests = render(values)
    for manifest, _, container in manifests.containers:
        env = manifests.environment(manifest, container)
        if container.name == "api-server":
            assert container.words == ("api-server", *(("--proxy-headers",) if trusted else ()))
            assert env.get("FORWARDED_ALLOW_IPS") == trusted
            assert (env.get("AIRFLOW__FAB__COOKIE_SECURE") == "True") is secure
        else:
            assert "FORWARDED_ALLOW_IPS" not in env


def service(**values: Any) -> dict[str, Any]:
    return {"controlPlane": {"apiServer": {"service": values}}}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {
                **ingress(
                    hosts={HOST: {}, "Big.example.com": {}, "*": {}, "a.example.com": None}, pathType="Exact"
                ),
                **service(type="ExternalName"),
                "httpRoute": {
                    "parentRefs": [{"namespace": "a"}],
                    "hostnames": ["a.b:8443"],
                    "path": "/a//b",
                    "scheme": "HTTPS",
                },
            },
            (
                "'Big.example.com'",
                "'*'",
                "/ingress/hosts/a.example.com",
                "/ingress/pathType",
                "/httpRoute/parentRefs/0",
                "/httpRoute/hostnames/0",
                "/httpRoute/path",
                "/httpRoute/scheme",
                "/controlPlane/apiServer/service/type",
            ),
        ),
        ({**service(type=None), "httpRoute": None, **ingress(hosts=None)}, ("type", "httpRoute", "hosts")),
        (
            {
                **ingress(path="/a", hosts={HOST: {}}),
                **service(nodePort=30080, loadBalancerClass="a", loadBalancerSourceRanges=["10.0.0.0/8"]),
                "httpRoute": {**ROUTE, "parentRefs": [], "path": "/b"},
            },
            (
                f"ingress.hosts: contains {HOST}, which is ingress.host",
                "httpRoute.parentRefs: is empty",
                "httpRoute.path: /b does not include /a, which Airflow serves (ingress.path)",
                "controlPlane.apiServer.service.nodePort: has no effect with type ClusterIP",
                "controlPlane.apiServer.service.loadBalancerClass: has no effect with type ClusterIP",
                "controlPlane.apiServer.service.loadBalancerSourceRanges: has no effect with type ClusterIP",
            ),
        ),
        ({"httpRoute": {**ROUTE, "hostnames": []}}, ("httpRoute.hostnames: is empty",)),
        (
            {"httpRoute": {**ROUTE, "hostnames": ["*.a.b"]}},
            ("httpRoute.hostnames: *.a.b, the first one, is a wildcard",),
        ),
        (
            {"controlPlane": {"scheduler": {"service": {}}}},
            ("controlPlane.scheduler.service: is a key of", "Here it is controlPlane.apiServer.service"),
        ),
    ],
)
def test_what_cannot_be_meant_is_rejected(values: dict[str, Any], says: tuple[str, ...]) -> None:
    with pytest.raises(RenderError) as caught:
        render(values)
    assert not [text for text in says if text not in str(caught.value)], str(caught.value)
