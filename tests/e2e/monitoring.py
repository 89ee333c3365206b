"""A Prometheus in a pod, which reads a release and more as the Prometheus operator would have it."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from scripts import tools
from scripts.chart import Manifest, Manifests
from scripts.cluster import REGISTRY
from scripts.live import RELEASE, CommandError, Target, registry_image
from scripts.overlays.definitions import merged
from tests.e2e.conftest import wait_until
from tests.e2e.own_release import OwnRelease
from tests.e2e.test_stores import secret

IMAGE = f"{REGISTRY}/e2e/prometheus:{tools.version_of('prometheus')}"
RBAC = {"apiVersion": "rbac.authorization.k8s.io/v1"}


@dataclass
class Monitored:
    """The release, and a Prometheus that reads it."""

    release: OwnRelease
    manifests: Manifests
    #: Prometheus' namespace.
    monitoring: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask Prometheus."""
        url = f"http://127.0.0.1:9090/api/v1/query?query={quote(expression)}"
        return self._ask(url)

    def last_minutes(self, expression: str) -> list[dict[str, Any]]:
        """Ask it for all that it has seen, each five seconds."""
        now = time.time()
        query = f"query={quote(expression)}&start={now - 1800:.0f}&end={now:.0f}&step=5"
        return self._ask(f"http://127.0.0.1:9090/api/v1/query_range?{query}")

    def _ask(self, url: str) -> list[dict[str, Any]]:
        words = ("exec", "prometheus", "-n", self.monitoring, "--", "wget", "-q", "-O-", url)
        try:
            answer = json.loads(self.release.target.kubectl(*words))
        except CommandError:
            return []
        return list(answer["data"]["result"])

    @property
    def dashboard(self) -> dict[str, Any]:
        """Give Grafana's model."""
        (text,) = self.manifests.one("ConfigMap", name=f"{RELEASE}-dashboard").raw["data"].values()
        return dict(json.loads(text))

    def firing(self) -> set[str]:
        """Give the names of the alerts that fire."""
        return {each["metric"]["alertname"] for each in self.query('ALERTS{alertstate="firing"}')}

    def wait_for(self, *alerts: str, seconds: float = 90) -> None:
        """Wait until all of them fire."""
        wait_until(lambda: set(alerts) <= self.firing(), seconds, lambda: f"{alerts}: {self.firing()}")

    def scale(self, component: str, replicas: int) -> None:
        """Scale a Deployment of the release."""
        self.release.kubectl("scale", f"deployment/{RELEASE}-{component}", f"--replicas={replicas}")

    def start(self, dag_id: str) -> str:
        """Start a run of a DAG."""
        self.release.airflow.unpause(dag_id)
        return self.release.airflow.trigger(dag_id)


def with_operator(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values for the operator's kinds, which this cluster lacks: they are only rendered."""
    metrics = {
        "podMonitor": {"enabled": True, "interval": "2s"},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
    }
    return merged(values, {"metrics": metrics})


def scrape(monitor: Manifest) -> Iterator[dict[str, Any]]:
    """The scrape configurations that the operator makes of a PodMonitor."""
    spec = monitor.raw["spec"]
    labels = {key: [value] for key, value in spec["selector"].get("matchLabels", {}).items()}
    labels |= {each["key"]: each["values"] for each in spec["selector"].get("matchExpressions", ())}
    for endpoint in spec["podMetricsEndpoints"]:
        keep = [
            {"action": "keep", "source_labels": [f"__meta_kubernetes_pod_label_{re.sub('[./-]', '_', key)}"],
             "regex": "|".join(map(re.escape, values))}
            for key, values in labels.items()
        ]  # fmt: skip
        keep += [{"action": "keep", "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                  "regex": endpoint["port"]}]  # fmt: skip
        usual = [
            {"source_labels": [f"__meta_kubernetes_{name}"], "target_label": label}
            for name, label in (("namespace", "namespace"), ("pod_name", "pod"))
        ]
        yield {
            "job_name": f"{monitor.namespace}/{monitor.name}",
            "scrape_interval": endpoint["interval"],
            "scrape_timeout": endpoint["interval"],
            "honor_labels": endpoint.get("honorLabels", False),
            "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [monitor.namespace]}}],
            "relabel_configs": [*keep, *usual, *map(relabeling, endpoint.get("relabelings", ()))],
            "metric_relabel_configs": [*map(relabeling, endpoint.get("metricRelabelings", ()))],
        }


def relabeling(written: dict[str, Any]) -> dict[str, Any]:
    """Kubernetes' form of a relabeling as Prometheus'."""
    return {
        re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in written.items()
    }


def quick(rules: str) -> str:
    """The same alerts, after seconds instead of minutes."""
    rules = re.sub(r"\[\d+[mh]\]", "[20s]", rules).replace("offset 15m", "offset 60s")
    return re.sub(r'"for": "\d+[mh]"', '"for": "4s"', rules)


def granted(
    name: str, namespace: str, account: tuple[str, str], *rules: dict[str, Any]
) -> list[dict[str, Any]]:
    """Give a Role, or a ClusterRole without a namespace, and its binding to an account (namespace, name)."""
    kind = "Role" if namespace else "ClusterRole"
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    subject = {"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    return [
        {**RBAC, "kind": kind, "metadata": meta, "rules": list(rules)},
        {**RBAC, "kind": f"{kind}Binding", "metadata": meta, "roleRef": role, "subjects": [subject]},
    ]


def prometheus(
    target: Target, monitoring: str, manifests: Manifests, *scrape_configs: dict[str, Any]
) -> None:
    """Start it in the namespace `monitoring`, in an image of its own. It reads the PodMonitors, and more."""
    registry_image.push(
        IMAGE, {"usr/bin/prometheus": tools.pinned("prometheus")}, base=registry_image.BUSYBOX
    )
    monitors = (scrape(monitor) for monitor in manifests.all("PodMonitor"))
    jobs = [*itertools.chain.from_iterable(monitors), *scrape_configs]
    config = {
        "global": {"evaluation_interval": "2s"},
        "rule_files": ["/etc/prometheus/rules.yaml"],
        "scrape_configs": jobs,
    }
    discovered = [each for job in jobs for each in job["kubernetes_sd_configs"]]
    namespaces = {name for each in discovered for name in each.get("namespaces", {}).get("names", ())}
    rules = json.dumps(manifests.one("PrometheusRule").raw["spec"])
    pods = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    files = {"prometheus.yaml": json.dumps(config), "rules.yaml": quick(rules)}
    arguments = (
        "--config.file=/etc/prometheus/prometheus.yaml",
        "--storage.tsdb.path=/data",
        "--web.listen-address=127.0.0.1:9090",
    )
    target.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": monitoring}},
        secret("prometheus", files, "ConfigMap", monitoring),
        *(
            each
            for namespace in namespaces
            for each in granted("prometheus", namespace, (monitoring, "default"), pods)
        ),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "prometheus", "namespace": monitoring},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "prometheus",
                        "image": IMAGE,
                        "command": ["prometheus", *arguments],
                        "volumeMounts": [
                            {"name": "config", "mountPath": "/etc/prometheus"},
                            {"name": "data", "mountPath": "/data"},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "config", "configMap": {"name": "prometheus"}},
                    {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
                ],
            },
        },
    )
    target.kubectl("wait", "pod/prometheus", "-n", monitoring, "--for=condition=Ready", "--timeout=100s")
