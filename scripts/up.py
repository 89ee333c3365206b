"""`make up`: example DAGs in every mode that a cluster can serve. `make down`: take it all away.

    python -m scripts.up            # start or choose the cluster, install, run the examples, print the table
    python -m scripts.up install    # the same without the run
    python -m scripts.up down

OVERLAY=kubernetes|dind|socket installs an overlay with kubectl in place of the chart with Helm.
CLUSTER=native|current chooses the cluster. By default it is the current kube context's if its name is that of
a local one (kind, k3d, ...), or a single node on this Linux host if there is no current context.
AIRFLOW=3.1, or another line in scripts/images/recipes, installs that Airflow instead of the newest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import yaml

from scripts.chart import CHART, ROOT
from scripts.check import probe
from scripts.check.cluster import KubeError
from scripts.cluster import REGISTRY
from scripts.images.catalog import AIRFLOW_LINES
from scripts.live import (
    NAMESPACE,
    NATIVE_DIND,
    RELEASE,
    TASKS,
    ApiError,
    CommandError,
    Target,
    UpError,
    choose,
    examples,
    native_cluster,
    overlays,
)
from scripts.overlays.generate import POLICIES as FENCE
from scripts.tools import ToolError

VALUES = ROOT / "examples" / "values" / "three-modes.yaml"
#: On namespaces that `make up` made, so that `make down` deletes no other.
OURS = {"app.kubernetes.io/created-by": "airdock-make-up"}
#: Of the native cluster's registry, in the task namespace.
PULL_SECRET = "example-registry"  # noqa: S105
#: How long images may take to be pulled, and pods to become ready.
INSTALL_SECONDS = 900


def say(line: str) -> None:
    """Print progress, at once."""
    print(line, flush=True)


def start(target: Target) -> None:
    """Start the native cluster and bring its images; do nothing for a cluster that is there."""
    if not target.native:
        say(f"cluster: current kube context {target.context}")
        return
    say(f"cluster: native, kubeconfig {target.kubeconfig}")
    commands = [("scripts.cluster", "up"), ("scripts.images", "push", REGISTRY)]
    if line := older_airflow():
        commands.append(("scripts.images", "push", REGISTRY, f"airflow-{line}"))
    for module, *arguments in commands:
        if subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT).returncode:
            raise UpError(f"`python -m {module} {' '.join(arguments)}` failed; what it said is above.")


def older_airflow() -> str:
    """Give the older line of Airflow that AIRFLOW asks for, such as 3.1; empty for the chart's own version.

    Raises:
        UpError: there is no image of such a line.
    """
    line = os.environ.get("AIRFLOW", "")
    if line and line not in AIRFLOW_LINES:
        raise UpError(f"AIRFLOW={line}: use one of {', '.join(AIRFLOW_LINES)}, or none for the newest.")
    return line


def create_namespace(target: Target) -> None:
    """Create the release's namespace, marked as ours.

    Raises:
        UpError: it is there and not ours: somebody may have a release of his own in it.
    """
    found = target.items("namespaces", f"--field-selector=metadata.name={NAMESPACE}")
    if not found:
        metadata = {"name": NAMESPACE, "labels": OURS}
        target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    elif not OURS.items() <= found[0]["metadata"]["labels"].items():
        raise UpError(
            f"The cluster of context {target.context} has a namespace {NAMESPACE} that `make up` did not "
            "make: delete it, or run `make up CLUSTER=native` to use a cluster of its own."
        )


def values(target: Target) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the values for this cluster, and the modes that it cannot serve with the reason for each."""
    chosen: dict[str, Any] = yaml.safe_load(VALUES.read_text())
    findings = {"dind": probe.dind(target, NAMESPACE), "socket": probe.socket(target, NAMESPACE)}
    skipped = {mode: finding.reason for mode, finding in findings.items() if finding.reason}
    groups = {name: group for name, group in chosen["workers"].items() if group["mode"] not in skipped}
    for group in groups.values():
        if group["mode"] == "socket":
            group["socket"]["gid"] = findings["socket"].gid
            if findings["socket"].node:
                group["nodeSelector"] = {"kubernetes.io/hostname": findings["socket"].node}
        if group["mode"] == "dind" and target.native:
            group["dind"] = dict(NATIVE_DIND)
    chosen["workers"] = groups
    if line := older_airflow():
        chosen["images"] = {"airflow": {"tag": AIRFLOW_LINES[line]}}
    if target.native:
        chosen.setdefault("airflow", {})["connections"] = {"example_registry": overlays.CONNECTION}
        # Pods cannot pull with a task's login, but with a Secret of their namespace.
        chosen["tasks"] = {"registries": {REGISTRY: {"pullSecret": PULL_SECRET}}}
        for group in groups.values():
            if group["mode"] == "socket":
                # Instead of the default: this cluster's images come from nowhere else.
                group["socket"]["allowed"] = {"registries": ["docker.io", REGISTRY]}
    return chosen, skipped


def install(target: Target, chosen: dict[str, Any]) -> float:
    """`helm upgrade --install` and wait until all is ready; give the seconds that it took.

    Raises:
        UpError: it did not become ready; says what the pods wait for.
    """
    begun = time.monotonic()
    unlock(target)
    try:
        # Forced: a killed test may have left a field to kubectl, such as the replicas of a Deployment.
        target.helm(
            "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
            "--force-conflicts", "--wait", f"--timeout={INSTALL_SECONDS}s",
            stdin=json.dumps(chosen), timeout=INSTALL_SECONDS + 60,
        )  # fmt: skip
    except CommandError as error:
        raise UpError(f"The chart did not come up: {error.stderr}\n{troubles(target)}") from error
    return time.monotonic() - begun


def create_pull_secret(target: Target) -> None:
    """Put the login of the native cluster's registry where task pods find it."""
    login = {"username": overlays.CONNECTION["login"], "password": overlays.CONNECTION["password"]}
    auths = {"auths": {REGISTRY: login}}
    target.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": PULL_SECRET, "namespace": TASKS},
            "stringData": {".dockerconfigjson": json.dumps(auths)},
        }
    )


def refuse_another(target: Target, overlay: str) -> None:
    """Let nothing be installed over what another tool, or another overlay, has put there.

    Helm would refuse the overlay's objects one by one, and `kubectl apply` leaves the others' groups running.

    Raises:
        UpError: such a thing is there; says what, and the way out.
    """
    releases = json.loads(target.helm("list", f"--namespace={NAMESPACE}", "--output=json"))
    workers = target.items(
        "deployments,statefulsets", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=worker"
    )
    if any(release["name"] == RELEASE for release in releases):
        there = "" if not overlay else "a release of Helm's"
    else:
        groups = {worker["metadata"]["labels"]["airdock.dev/worker-group"] for worker in workers}
        there = "an overlay" if groups and groups != overlays.groups(overlay) else ""
    if there:
        wanted = f"overlays/{overlay}" if overlay else "the chart"
        raise UpError(
            f"Namespace {NAMESPACE} holds {there}: run `make down` before `make up` installs {wanted}, or go "
            "from one to the other with its database kept as docs/kustomize.md says."
        )


def refuse_older(target: Target) -> None:
    """Let no older Airflow be installed over a database that a newer one has migrated.

    Raises:
        UpError: the release has another version than AIRFLOW asks for.
    """
    if line := older_airflow():
        label = "app.kubernetes.io/version"
        workloads = target.items("deployments", "-n", NAMESPACE, "-l", f"app.kubernetes.io/name={RELEASE}")
        found = {workload["metadata"]["labels"][label] for workload in workloads} - {AIRFLOW_LINES[line]}
        if found:
            raise UpError(
                f"AIRFLOW={line}: namespace {NAMESPACE} has a release of Airflow {found.pop()}, and its "
                "database does not go back. Run `make down` first."
            )


def unlock(target: Target) -> None:
    """Clean up after a killed helm: it leaves the release pending, and no other helm touches that."""
    pending = json.loads(target.helm("list", f"--namespace={NAMESPACE}", "--pending", "--output=json"))
    for status in [release["status"] for release in pending if release["name"] == RELEASE]:
        say(f"the release was left in state {status}: cleaning up")
        action = "uninstall" if status == "pending-install" else "rollback"
        target.helm(action, RELEASE, f"--namespace={NAMESPACE}", "--wait")


def troubles(target: Target) -> str:
    """Say of each pod that is not ready what it waits for."""
    lines = []
    for pod in target.items("pods", "-n", NAMESPACE):
        status = pod["status"]
        states = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        waiting = [
            f"{state['name']}: {what.get('reason', '')} {what.get('message', '')}".strip()
            for state in states
            for what in [state["state"].get("waiting") or state["state"].get("terminated") or {}]
            if what and what.get("reason") not in ("Completed", "PodInitializing")
        ]
        waiting += [c["message"] for c in status.get("conditions", []) if c.get("reason") == "Unschedulable"]
        if waiting:
            lines.append(f"  {pod['metadata']['name']}: {'; '.join(waiting)}")
    return "\n".join(lines)


def up(target: Target, run_examples: bool) -> int:
    """Install on the cluster and run the examples; give the exit code."""
    start(target)
    create_namespace(target)
    chosen: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    overlay = os.environ.get("OVERLAY", "")
    refuse_another(target, overlay)
    refuse_older(target)
    if overlay:
        say(f"applying overlays/{overlay} in namespace {NAMESPACE}")
        gid = None
        if overlay == "socket":
            found = probe.socket(target, NAMESPACE)
            if found.reason:
                raise UpError(f"OVERLAY=socket: {found.reason}")
            gid = found.gid
        seconds = overlays.install(target, overlay, OURS, INSTALL_SECONDS, gid)
    else:
        chosen, skipped = values(target)
        say(f"installing {RELEASE} in namespace {NAMESPACE}: {', '.join(sorted(chosen['workers']))}")
        seconds = install(target, chosen)
        if target.native:
            create_pull_secret(target)
    say(f"ready after {seconds:.0f} s")
    wrong = []
    if run_examples:
        with target.port_forward() as forward:
            results = examples.run_all(
                target.airflow(forward),
                target.groups(),
                registry=overlays.has_registry(target, overlay)
                if overlay
                else "example_registry" in chosen.get("airflow", {}).get("connections", {}),
                progress=say,
            )
        say(f"\n{examples.table(results)}")
        wrong = [result for result in results if not result.right]
    for mode, reason in skipped.items():
        say(f"\nmode {mode} was skipped: {reason}")
    say(epilogue(target))
    for result in wrong:
        print(
            f"{result.dag}.{result.task.name} is {result.task.state}, not {result.expected}", file=sys.stderr
        )
    return 1 if wrong else 0


def epilogue(target: Target) -> str:
    """Say how to look at it and how to take it away."""
    admin = f"{target.as_typed} -n {NAMESPACE} get secret {RELEASE}-admin -o jsonpath"
    return f"""
Open the UI:   {target.as_typed} -n {NAMESPACE} port-forward svc/{RELEASE}-api-server 8080
               then http://localhost:8080
Log in:        {admin}='{{.data.username}}' | base64 -d
               {admin}='{{.data.password}}' | base64 -d
Take it away:  make down"""


def down(target: Target) -> int:
    """Take away what `up` brought: a native cluster as a whole, else the release and its two namespaces."""
    if target.native:
        return subprocess.run([sys.executable, "-m", "scripts.cluster", "down"], cwd=ROOT).returncode
    selector = ",".join(f"{key}={value}" for key, value in OURS.items())
    if not target.items("namespaces", "-l", selector):
        say(f"nothing of `make up` is in the cluster of context {target.context}")
        return 0
    try:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found", "--wait")
        # An overlay's, which no Helm takes away; the bindings have the names of their policies.
        target.kubectl(
            "delete",
            "validatingadmissionpolicies,validatingadmissionpolicybindings",
            *FENCE,
            "--ignore-not-found",
        )
        # The chart keeps the task namespace, claims and Secrets; those of the examples are worth nothing.
        target.kubectl(
            "delete", "namespace", NAMESPACE, TASKS, "--ignore-not-found", "--timeout=300s", timeout=310
        )
    except CommandError as error:
        raise UpError(f"Not all could be taken away: {error.stderr}") from error
    say(f"the namespaces {NAMESPACE} and {TASKS} are gone from the cluster of context {target.context}")
    return 0


def main(arguments: list[str]) -> int:
    """Run one command; an error that the user can act on is one sentence on stderr and exit code 1."""
    command = arguments[0] if arguments else "up"
    if command not in ("up", "install", "down") or len(arguments) > 1:
        print("usage: python -m scripts.up [up|install|down]", file=sys.stderr)
        return 2
    try:
        line = older_airflow()
        if overlay := os.environ.get("OVERLAY"):
            overlays.known(overlay)
            if line:
                raise UpError(
                    f"AIRFLOW={line}: an overlay has the chart's own version. Leave out one of both."
                )
        if command == "down":
            native = native_cluster()
            started = native.kubeconfig is not None and native.kubeconfig.parent.exists()
            return down(native if started and not os.environ.get("CLUSTER") else choose())
        return up(choose(), run_examples=command == "up")
    except (KubeError, ApiError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
