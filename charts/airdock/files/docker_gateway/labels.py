"""Labels of the gateway's containers and pods, and those that the cluster policy sets on a create request."""

from __future__ import annotations

#: The owner is the worker's pod; the container's label is the first 32 characters of its id.
OWNER = "airdock.dev/gateway"
CONTAINER = "airdock.dev/container-id"
GROUP = "airdock.dev/worker-group"
#: The image that the author named; the daemon gets its id.
IMAGE = "airdock.dev/image"
#: NetworkPolicies of the chart select it.
NETWORK = "airdock.dev/network"
RETRIEVE = "airdock.dev/retrieve-output"
XCOM_ALL = "airdock.dev/xcom-all"
DAG, TASK, RUN = "airdock.dev/dag-id", "airdock.dev/task-id", "airdock.dev/run-id"
#: All that the cluster policy sets.
POLICY = (RETRIEVE, XCOM_ALL, DAG, TASK, RUN, "airdock.dev/map-index", "airdock.dev/try-number")
