"""Mode dind: what only the container itself can see, and what the start script cures."""

from __future__ import annotations

import pytest

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import (
    ALLOCATE,
    IMAGE,
    PYTHON,
    group,
    log_of,
    objects,
    plain,
    running,
)


def test_processes_are_bounded(target: Target) -> None:
    scripts, workload = objects(group(pidsLimit=64))
    with running(target, pod_of(workload, "pids"), scripts) as pod:
        bomb = "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all"
        assert "fork" in pod.fails("run", "--rm", IMAGE, "sh", "-c", bomb)
        assert pod.docker("run", "--rm", IMAGE, "echo", "still here").strip() == "still here"


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("sysbox", "dind.variant is sysbox, but this pod does not run in Sysbox"),
        ("rootless", "set images.dockerRootless to a -dind-rootless image"),
        ("userNamespace", "this variant needs cgroup v2"),
    ],
)
def test_a_variant_that_cannot_be_says_why(target: Target, variant: str, says: str) -> None:
    values = group(variant=variant)
    # An image without rootlesskit, as a user would have it who sets only the variant to a mirror of his own.
    values["images"] = {"dockerRootless": {"tag": "29-dind"}}
    scripts, workload = objects(values)
    body = pod_of(workload, variant.lower())
    body["spec"].pop("runtimeClassName", None)
    with running(target, body, scripts, ready=False) as pod:
        wait_until(lambda: says in log_of(pod), 60, says)


def test_address_ranges_are_the_values(target: Target) -> None:
    network = {
        "bip": "10.213.0.1/24",
        "defaultAddressPools": [{"base": "10.214.0.0/16", "size": 24}],
        "clusterCIDRs": ["198.19.0.0/18"],
    }
    scripts, workload = objects(group(network=network))
    with running(target, pod_of(workload, "ranges"), scripts) as pod:
        pod.docker("network", "create", "own")
        subnets = [
            pod.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name).strip()
            for name in ("bridge", "own")
        ]
        assert subnets == ["10.213.0.0/24", "10.214.0.0/24"]


def test_a_plain_sidecar_has_the_faults(target: Target) -> None:
    """What the start script cures is there without it, or the tests above would prove nothing."""
    scripts, workload = objects(group())
    with running(target, plain(pod_of(workload, "plain")), scripts) as pod:
        mtu = pod.inside("worker", "cat", "/sys/class/net/eth0/mtu")
        assert pod.docker("run", "--rm", IMAGE, "cat", "/sys/class/net/eth0/mtu") != mtu
        bomb = "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all"
        assert pod.docker("run", "--rm", IMAGE, "sh", "-c", bomb).strip() == "all"
        # The kernel takes the daemon for the task: its score is the pod's, and the task's is 0.
        pod.fails("run", "--rm", PYTHON, "python", "-c", ALLOCATE)
        wait_until(lambda: pod.restarts() == 1, 30, "the daemon killed")
