"""The exporters of other programs whose series the alerts read, in one namespace with their Prometheus."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from scripts import tools
from scripts.chart import Manifest, load_yaml
from scripts.cluster import REGISTRY
from scripts.live import Target, registry_image
from scripts.tools.build import lookup
from tests.e2e.monitoring import granted, scrape
from tests.support.go_modules import module_directory

CERT_MANAGER = "cert-manager"
STATE_METRICS = "kube-state-metrics"
STATE_METRICS_IMAGE = f"{REGISTRY}/e2e/kube-state-metrics:1"
CERT_MANAGER_IMAGE = f"{REGISTRY}/e2e/cert-manager:{tools.version_of(CERT_MANAGER)}"
KUBELET = "kubelet"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
#: The kinds of cert-manager that its controllers in scripts/tools/cert-manager need.
KINDS = ("certificaterequests", "certificates", "issuers")
#: Series of pods and CronJobs as the documentation of kube-state-metrics has them (docs/metrics/workload).
PODS = """
{{- range $pod := .items }}{{ range .status.initContainerStatuses }}
{{- $labels := printf "namespace=%q,pod=%q,container=%q,uid=%q" $pod.metadata.namespace $pod.metadata.name .name $pod.metadata.uid -}}
kube_pod_init_container_status_restarts_total{ {{- $labels -}} } {{ .restartCount }}
kube_pod_init_container_status_running{ {{- $labels -}} } {{ if .state.running }}1{{ else }}0{{ end }}
{{ end }}{{ end }}"""  # noqa: E501
CRON_JOBS = """
{{- range .items }}{{ $job := printf "namespace=%q,cronjob=%q" .metadata.namespace .metadata.name }}
{{- with .status.lastScheduleTime }}{{ . }} kube_cronjob_status_last_schedule_time{ {{- $job -}} }
{{ end }}{{ with .status.lastSuccessfulTime }}{{ . }} kube_cronjob_status_last_successful_time{ {{- $job -}} }
{{ end }}{{ end }}"""
SERVE = """
mkdir /tmp/www
httpd -p 8080 -h /tmp/www
list() { kubectl get "$1" --namespace "$namespace" --cache-dir /tmp --output "go-template=$2"; }
namespace=$1
while :; do
  if list pods "$2" > /tmp/new && list cronjobs "$3" > /tmp/jobs; then
    while read -r time series; do
      echo "$series $(date -u -D %Y-%m-%dT%H:%M:%SZ -d "$time" +%s)"
    done < /tmp/jobs >> /tmp/new
    mv /tmp/new /tmp/www/metrics
  fi
  sleep 2
done
"""


def pod(name: str, namespace: str, container: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Give the pod of an exporter, with an account of its name."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "serviceAccountName": name,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": name, **container}],
        },
    }


def account(name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    }


def state_metrics(target: Target, monitoring: str, namespace: str) -> dict[str, Any]:
    """Start a stand-in for kube-state-metrics, and give the scrape configuration of kube-prometheus-stack.

    No version of its Go module resolves, so it is not among the pinned tools. The names and labels of the
    series are those of its documentation, and their values are what the API server has.
    """
    programs = {"usr/bin/kubectl": tools.pinned("kubectl")}
    registry_image.push(STATE_METRICS_IMAGE, programs, base=registry_image.BUSYBOX)
    container = {
        "image": STATE_METRICS_IMAGE,
        "command": ["sh", "-euc", SERVE, "sh", namespace, PODS, CRON_JOBS],
        "ports": [{"containerPort": 8080, "name": "http"}],
    }
    target.apply(
        account(STATE_METRICS, monitoring),
        *granted(
            STATE_METRICS,
            namespace,
            (monitoring, STATE_METRICS),
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
            {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["get", "list"]},
        ),
        pod(STATE_METRICS, monitoring, container, {"app.kubernetes.io/name": STATE_METRICS}),
    )
    monitor = {
        "metadata": {"name": STATE_METRICS, "namespace": monitoring},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": STATE_METRICS}},
            "podMetricsEndpoints": [{"port": "http", "interval": "2s", "honorLabels": True}],
        },
    }
    (config,) = scrape(Manifest({"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", **monitor}))
    # A file server knows no type.
    return {**config, "fallback_scrape_protocol": "PrometheusText0.0.4"}


def kubelet(target: Target, monitoring: str) -> dict[str, Any]:
    """Let Prometheus read the kubelet's metrics, and give the scrape configuration of kube-prometheus."""
    rights = (
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    )
    target.apply(*granted(f"{monitoring}-kubelet", "", (monitoring, "default"), *rights))
    return {
        "job_name": KUBELET,
        "scheme": "https",
        "scrape_interval": "5s",
        "scrape_timeout": "5s",
        "honor_labels": True,
        "authorization": {"credentials_file": TOKEN},
        "tls_config": {"insecure_skip_verify": True},
        "kubernetes_sd_configs": [{"role": "node"}],
    }


def without_kubelet(target: Target, monitoring: str) -> None:
    """Take the right to read the kubelet's metrics back."""
    name = f"{monitoring}-kubelet"
    target.kubectl("delete", "clusterrole,clusterrolebinding", name, "--ignore-not-found")


def cert_manager_monitor(monitoring: str) -> dict[str, Any]:
    """Give the scrape configuration of cert-manager's chart, with its defaults but for the interval."""
    values = {"enabled": "true", "interval": "2s"}
    command = [
        str(tools.path("helm")), "template", CERT_MANAGER, str(_module() / "deploy/charts/cert-manager"),
        f"--namespace={monitoring}", "--show-only=templates/podmonitor.yaml",
        *(f"--set=prometheus.podmonitor.{key}={value}" for key, value in values.items()),
    ]  # fmt: skip
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (monitor,) = load_yaml(text)
    (config,) = scrape(Manifest(monitor))
    return config


def cert_manager(target: Target, monitoring: str, namespace: str) -> None:
    """Start cert-manager's controllers for one namespace, with the labels that its chart gives them."""
    program = {"usr/bin/cert-manager": tools.pinned(CERT_MANAGER)}
    registry_image.push(CERT_MANAGER_IMAGE, program, base=registry_image.BUSYBOX)
    target.kubectl("apply", "--server-side", "--force-conflicts", *_kinds())
    established = ("--for=condition=Established", "--timeout=60s")
    target.kubectl("wait", *(f"crd/{kind}.cert-manager.io" for kind in KINDS), *established)
    labels = {
        "app.kubernetes.io/name": CERT_MANAGER,
        "app.kubernetes.io/instance": CERT_MANAGER,
        "app.kubernetes.io/component": "controller",
    }
    container = {
        "image": CERT_MANAGER_IMAGE,
        "command": [CERT_MANAGER, namespace],
        "ports": [{"containerPort": 9402, "name": "http-metrics"}],
    }
    target.apply(
        account(CERT_MANAGER, monitoring),
        *granted(
            CERT_MANAGER,
            namespace,
            (monitoring, CERT_MANAGER),
            {"apiGroups": ["cert-manager.io"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        ),
        pod(CERT_MANAGER, monitoring, container, labels),
    )
    target.kubectl("wait", f"pod/{CERT_MANAGER}", "-n", monitoring, "--for=condition=Ready", "--timeout=100s")


def without_cert_manager(target: Target) -> None:
    """Remove its kinds, and all objects of them."""
    target.kubectl("delete", "--ignore-not-found", *_kinds())


def _kinds() -> list[str]:
    return [f"--filename={_module()}/deploy/crds/cert-manager.io_{kind}.yaml" for kind in KINDS]


def _module() -> Path:
    """Give the directory of cert-manager's Go module."""
    tool = lookup(CERT_MANAGER)
    return module_directory(tool.module, tool.directory)
