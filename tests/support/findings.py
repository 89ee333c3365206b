"""What got through in the review of version 0.1: which test shows each attack first, and what is left.

tests/scripts/test_attacks.py holds the table to the tests: each `shown` exists and repeats
the finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`shown`: the test in which the attack works without the defence, and is refused with it."""

    title: str
    shown: str
    #: What the defence does not stop; empty if nothing of the finding is left.
    remains: str = ""


_DEFENCES = "tests/gateway/test_defences.py::test_the_attack_works_without_the_defence"
_EXECUTOR = "tests/api/test_executor_admission.py::test_attacks"
_FENCE = "tests/api/test_fence.py::test_attack"
_DAEMON = "tests/e2e/gateway_daemon/test_values.py"
_NETWORK = "tests/e2e/test_network.py::test_forbidden_flows"

FINDINGS: Mapping[int, Finding] = {
    1: Finding("KubernetesExecutor: a label in pod_override turns the scheduler's check off", _EXECUTOR),
    2: Finding("KubernetesExecutor: an environment variable's name hides a reference to a Secret", _EXECUTOR),
    3: Finding(
        "socket: an allowed directory below another is replaced by a link",
        f"{_DAEMON}::test_a_link_in_place_of_a_directory",
    ),
    4: Finding(
        "socket: labels and names that the kubelet's runtime or an ingress acts on",
        f"{_DAEMON}::test_cri_dockerd_does_not_find_it",
    ),
    5: Finding("task pods: anti-affinity against another namespace's pods", _FENCE),
    6: Finding("socket: /auth makes the daemon fetch any URL", f"{_DAEMON}::test_the_daemon_dials_nobody"),
    7: Finding(
        "gateway: a client that leaves a printing container ends the thread that stops containers", _DEFENCES
    ),
    8: Finding(
        "DAG code reads the secrets of the dag-processor and the triggerer",
        "tests/e2e/test_dag_code.py::test_secrets",
        "Without Landlock: the environment of the container's init, of probes and of git. All connections and"
        " variables, by Airflow's own interface. In a worker: the broker's URL and the API secret key.",
    ),
    9: Finding(
        "gateway: one bad pod or Lease stops every gateway of the namespace",
        "tests/api/test_fence_gateways.py::test_leases_of_others",
    ),
    10: Finding("gateway: too many or too slow connections end it or its health port", _DEFENCES),
    11: Finding("task pods: annotations that network plugins, meshes and runtimes read", _FENCE),
    12: Finding("KubernetesExecutor: arguments, names and annotations of another task", _EXECUTOR),
    13: Finding("task pods: runtime classes and resource claims", _FENCE),
    14: Finding(
        "task pods: limits and volumes without an upper bound", "tests/api/test_fence.py::test_ceilings"
    ),
    15: Finding("task pods: finalizers, grace periods, scheduling gates and owners", _FENCE),
    16: Finding("image lists compare text: busybox: admits busybox:5000/evil/miner:1", _DEFENCES),
    17: Finding("network: metadata addresses of other clouds", _NETWORK, "Addresses that nobody has listed."),
    18: Finding(
        "socket: CPU shares, ulimits, health checks, logs, volumes without an upper bound",
        f"{_DAEMON}::test_health_checks_are_not_more_than_their_floor",
    ),
    19: Finding("gateway: a container is created while it shuts down", _DEFENCES),
    20: Finding("task pods: labels that are the chart's or another group's", _DEFENCES),
    21: Finding(
        "socket: GPUs by an environment variable or a CDI name", f"{_DAEMON}::test_devices_by_variable"
    ),
    22: Finding(
        "socket: a bind is checked as one thing and sent as another",
        # It never worked: dockerd itself refuses the bind. The filter writes Mounts alone.
        "tests/gateway/test_values.py::test_the_daemon_gets_no_hostile_value",
    ),
    23: Finding("task pods: uid 0 with hostUsers: false, Windows, Localhost profiles", _FENCE),
    24: Finding("network: port 53 of any address", _NETWORK, "The DNS servers in networkPolicy.dns."),
    25: Finding(
        "socket: images by id, pickled results",
        f"{_DAEMON}::test_an_image_by_its_id",
        "Images by id where workers.<name>.socket.allowed.images is empty. Results are pickles (Airflow's"
        " design): who controls the image controls the task's process.",
    ),
}
