"""Versions that more than one file needs, each read from the one file that states it.

- Kubernetes of the cluster that `make up` starts, which is the newest that the chart is rendered for:
  scripts/tools/kubernetes/go.mod
- the chart, the oldest Kubernetes, and Airflow: charts/airdock/Chart.yaml
- the Pod Security Standard that namespaces enforce: charts/airdock/values.yaml
- the Pod Security Standard that `make lint` judges by: scripts/lint/pod_security/model.py
- every tool: the go.mod in its directory of scripts/tools

tests/scripts/test_versions.py finds a second place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scripts import tools
from scripts.chart.yaml import load_yaml

_CHART = Path(__file__).resolve().parents[2] / "charts" / "airdock"


def _chart(name: str) -> dict[str, Any]:
    found: dict[str, Any] = load_yaml((_CHART / name).read_text(), name)[0]
    return found


def _minor(version: str) -> int:
    match = re.search(r"1\.(\d+)", version)
    assert match, f"{version!r} is no version of Kubernetes"
    return int(match[1])


#: Such as 1.2.3.
CHART = str(_chart("Chart.yaml")["version"])
#: Such as 3.1.0.
AIRFLOW = str(_chart("Chart.yaml")["appVersion"])
#: Such as v1.30.1.
KUBERNETES = tools.version_of("kubelet")
#: The minor versions that the chart supports, as 1.30.0, newest last.
KUBE_VERSIONS = tuple(
    f"1.{minor}.0" for minor in range(_minor(_chart("Chart.yaml")["kubeVersion"]), _minor(KUBERNETES) + 1)
)
#: Such as v1.30.
POD_SECURITY = str(_chart("values.yaml")["tasks"]["podSecurity"]["version"])
