"""The chart as text: rendered by Helm, read as typed manifests, validated. Nothing here reaches a cluster.

manifests = render({"dags": {"examples": True}}, kube_version="1.33.0")
worker = manifests.one("Deployment", component="worker", group="docker")
"""

from scripts.chart.frozen import freeze
from scripts.chart.helm import CHART, HELM3, HELM4, ROOT, RenderError, render, template
from scripts.chart.manifests import POD_TEMPLATES, Manifest, Manifests, matches
from scripts.chart.pods import Container, Mount, PodSpec, Reference
from scripts.chart.versions import KUBE_VERSIONS
from scripts.chart.yaml import ManifestError, load_yaml

__all__ = [
    "CHART",
    "HELM3",
    "HELM4",
    "KUBE_VERSIONS",
    "POD_TEMPLATES",
    "ROOT",
    "Container",
    "Manifest",
    "ManifestError",
    "Manifests",
    "Mount",
    "PodSpec",
    "Reference",
    "RenderError",
    "freeze",
    "load_yaml",
    "matches",
    "render",
    "template",
]
