"""All policies. One check each; the standards that ask for it are its references."""

from scripts.lint.model import Policy
from scripts.lint.policies import (
    accounts,
    admission,
    docker,
    docker_gateway,
    network,
    pod_standards,
    pods,
    rbac,
    secrets,
)

POLICIES: tuple[Policy, ...] = (
    *pod_standards.POLICIES,
    *docker.POLICIES,
    *docker_gateway.POLICIES,
    *pods.POLICIES,
    *accounts.POLICIES,
    *secrets.POLICIES,
    *rbac.POLICIES,
    *network.POLICIES,
    *admission.POLICIES,
)
BY_ID = {policy.id: policy for policy in POLICIES}

__all__ = ["BY_ID", "POLICIES"]
