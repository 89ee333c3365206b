"""Mode kubernetes and KubernetesExecutor: objects of the API server, and what pods take of nodes."""

from __future__ import annotations

from scripts.chart.ceilings import NONE, Ceiling, Section

_API = "tests/api/test_ceilings.py"
_COUNTED = f"{_API}::test_objects_are_counted"
_SUM = f"{_API}::test_amounts_have_a_sum"
_CONTAINER = f"{_API}::test_a_container_has_a_maximum"
_VOLUMES = f"{_API}::test_volumes_and_grace_have_a_maximum"
_SIZE = f"{_API}::test_an_object_has_a_size"
_EXECUTOR = f"{_API}::test_pods_of_kubernetes_executor"
_WORKER = "worker (Kubernetes operators)"
_BOTH = "worker, Docker gateway"
_POD_ENDS = "with its pod"

_OBJECTS = (
    Ceiling(
        "pods that have not ended", f"{_BOTH}, Jobs", "{tasks.quota.hard:pods}", "-",
        "by the task. The Docker gateway deletes its pods also when their client leaves, and those of a gateway"
        " that was silent for {settings:Tasks.lease_seconds|s}",
        _COUNTED, ("create pods",),
    ),
    Ceiling(
        "pods, with ended ones", f"{_BOTH}, Jobs", "{tasks.quota.hard:count/pods}", "-",
        "by the task (`on_finish_action`). The Docker gateway deletes its pods {tasks.ttlSeconds|s} after their end,"
        " and any other pod without an owner {tasks.ttlSecondsAfterFinished|s} after its end: one that its task"
        " kept, or whose worker was killed",
        f"{_API}::test_ended_pods_are_counted", ("create pods",),
    ),
    Ceiling(
        "containers, variables and volumes of a pod", _BOTH, "2000 together (the fence)", "-", _POD_ENDS,
        "tests/api/test_fence.py::test_size_of_a_pod", ("create pods", "patch pods"),
    ),
    Ceiling(
        "size of an object", _BOTH,
        "1.5 MiB, of the API server and etcd. The Docker gateway creates none above {cluster_manifest:MAX_MANIFEST|bytes}",
        "-", "with the object", _SIZE,
        ("patch pods", "patch jobs", "patch leases", "create leases", "patch widgets"),
    ),
    Ceiling(
        "all objects together, and writes per second", _BOTH,
        f"{NONE} Kubernetes has no such quota. The counts above and the size of an object bound the sum, to more than"
        " a small etcd holds (2 GiB by default): lower `count/pods` where etcd is small. API Priority and Fairness"
        " bounds the requests that are served at a time",
        "-", "old versions of an object by the API server, every 5 minutes", "",
        ("patch pods", "patch jobs", "patch leases", "patch widgets"),
    ),
    Ceiling(
        "Jobs", f"{_WORKER} with `tasks.rbac.jobs`",
        "{tasks.quota.hard:count/jobs.batch}; their pods count as pods", "-",
        "{tasks.ttlSecondsAfterFinished|s} after their end, or by `ttl_seconds_after_finished` of the operator; one from a file"
        " or a whole spec by what that says, otherwise not",
        _COUNTED, ("create jobs",),
    ),
    Ceiling(
        "PersistentVolumeClaims", f"{_WORKER} with `tasks.rbac.claims`; ephemeral volumes",
        "{tasks.quota.hard:persistentvolumeclaims}, each of {tasks.admission.maxVolumeSize}. None by default:"
        " `tasks.admission.storageClasses` is empty",
        "-", "of an ephemeral volume: with its pod. Others by KubernetesDeleteResourceOperator, otherwise not: their"
        " data may be wanted",
        _COUNTED, ("create persistentvolumeclaims",),
    ),
    Ceiling(
        "custom resources", f"{_WORKER} with `tasks.rbac.rules`",
        "1000 of each (`tasks.quota.hard`, `count/<resource>.<group>`). What their controllers create counts only"
        " in the task namespace",
        "-", "by the DAG or their controller", _COUNTED, ("create widgets",),
    ),
    Ceiling(
        "Leases", "Docker gateway; DAG authors with its token",
        "{tasks.quota.hard:count/leases.coordination.k8s.io}; the fence admits one for each worker pod", "-",
        "by the gateway when it ends, otherwise by another gateway, {cluster_leases:_MOST} at a time; a Lease counts"
        " as alive for {cluster_leases:_LONGEST|s} at most",
        f"{_API}::test_leases_are_counted", ("create leases",),
    ),
    Ceiling(
        "events", "kubelet, scheduler and controllers, about pods",
        f"{NONE} DAG authors cannot create events. The library of those who can sends 25 about an object, then one in 5"
        " minutes",
        "-", "by the API server, after an hour (`--event-ttl`)",
    ),
    Ceiling(
        "exec and attach sessions", f"{_WORKER}; triggerer; Docker gateway",
        "exec: none, Kubernetes counts no sessions. The fence admits exec only in `tasks.admission.execContainers`."
        " attach: {settings:MAX_INPUTS} for each gateway",
        "-", "with the pod or the client; idle ones by the kubelet, after 4 hours",
        "tests/gateway/test_input.py::test_no_more_clients_than_there_are_slots",
        ("create pods/exec", "get pods/exec", "create pods/attach", "get pods/attach"),
    ),
    Ceiling(
        "log streams and watches", f"{_BOTH}; triggerer",
        f"{NONE} Kubernetes counts no streams. They end with the memory of the client: the worker's, or the gateway's"
        " connections",
        "-", "with the pod or the client; watches by the API server, after an hour at most", "",
        ("get pods/log", "watch pods", "watch events"),
    ),
)  # fmt: skip

_NODE = (
    Ceiling(
        "CPU", _BOTH,
        "limit: {tasks.limitRange.limits:max.cpu} for a container, {tasks.quota.hard:limits.cpu} together;"
        " requests: {tasks.quota.hard:requests.cpu} together",
        "limit {tasks.limitRange.limits:default.cpu}, request {tasks.limitRange.limits:defaultRequest.cpu};"
        " DockerOperator: {tasks.resources.limits.cpu}, {tasks.resources.requests.cpu}",
        _POD_ENDS, _SUM,
    ),
    Ceiling(
        "memory, with volumes in memory", _BOTH,
        "limit: {tasks.limitRange.limits:max.memory} for a container, {tasks.quota.hard:limits.memory} together;"
        " requests: {tasks.quota.hard:requests.memory} together",
        "limit {tasks.limitRange.limits:default.memory}, request {tasks.limitRange.limits:defaultRequest.memory};"
        " DockerOperator: {tasks.resources.limits.memory}, {tasks.resources.requests.memory}",
        _POD_ENDS, _SUM,
    ),
    Ceiling(
        "disk: layer, log file, emptyDirs", _BOTH,
        "{tasks.limitRange.limits:max.ephemeral-storage} for a container, {tasks.quota.hard:limits.ephemeral-storage}"
        " together",
        "{tasks.limitRange.limits:default.ephemeral-storage}, request"
        " {tasks.limitRange.limits:defaultRequest.ephemeral-storage}",
        "the kubelet evicts the pod; " + _POD_ENDS, _CONTAINER,
    ),
    Ceiling(
        "one emptyDir", _BOTH, "{tasks.admission.maxVolumeSize}",
        "the containers' limits for ephemeral storage or memory together; temporary directories of DockerOperator:"
        " {tasks.tmp.sizeLimit}",
        _POD_ENDS, _VOLUMES,
    ),
    Ceiling(
        "GPUs", _BOTH, "{tasks.quota.hard:requests.nvidia.com/gpu} together",
        "0; DockerOperator that requests all: {tasks.gpusPerContainer}", _POD_ENDS, _SUM,
    ),
    Ceiling(
        "other resources of nodes, such as hugepages", _BOTH, "0 without an entry in `tasks.quota.hard`", "0",
        _POD_ENDS, "tests/api/test_fence.py::test_attack",
    ),
    Ceiling(
        "time that a deleted pod may take to end", _BOTH,
        "{tasks.admission.maxTerminationGracePeriodSeconds|s}; DockerOperator: {cluster_manifest:MAX_GRACE|s}", "30 s;"
        " DockerOperator: 10 s", "by the kubelet", _VOLUMES,
    ),
    Ceiling(
        "time that a pod waits", "Docker gateway",
        "{tasks.timeouts.scheduleSeconds|s} unschedulable, {tasks.timeouts.mountSeconds|s} without its volumes,"
        " {tasks.timeouts.createSeconds|s} without room in the quota or while its container cannot be created,"
        " {tasks.timeouts.pullSeconds|s} while the pull fails. Kubernetes operators: their `startup_timeout_seconds`"
        " and `schedule_timeout_seconds`",
        "the same", "by the gateway", "tests/gateway/test_cluster_waiting.py::test_an_error_that_stays_has_a_limit",
    ),
    Ceiling(
        "time that a pod runs", _BOTH,
        f"{NONE} a task may run for days. `execution_timeout` of the task ends it; a pod may set"
        " `activeDeadlineSeconds`",
        "-", "when its task ends. A pod of KubernetesPodOperator whose worker was killed runs on until the task's next"
        " try finds it",
    ),
    Ceiling(
        "processes", _BOTH, f"{NONE} a pod has no such field. Set `podPidsLimit` of the kubelet on the nodes", "-",
        _POD_ENDS,
    ),
    Ceiling(
        "images on the node", _BOTH,
        f"{NONE} Kubernetes has none. `tasks.admission.images` lists who can be pulled",
        "-", "by the kubelet, when the disk is 85 % full",
    ),
    Ceiling(
        "disk and network throughput, entries of connection tables", _BOTH,
        f"{NONE} Kubernetes has none. Network plugins have annotations for it, which `tasks.admission.annotations`"
        " does not admit by default",
        "-", _POD_ENDS,
    ),
)  # fmt: skip

_EXECUTOR_ROWS = (
    Ceiling(
        "pods", "scheduler, one for each task", "`[core] parallelism` (Airflow: 32) for each scheduler", "-",
        "by the scheduler when the task has ended (`delete_worker_pods`)",
        "tests/e2e/test_kubernetes_executor.py::test_a_pod_for_each_task", ("create pods", "patch pods", "watch pods"),
    ),
    Ceiling(
        "CPU, memory, disk of a container", "`pod_override` of a DAG",
        "{kubernetesExecutor.limitRange.limits:max.cpu}, {kubernetesExecutor.limitRange.limits:max.memory},"
        " {kubernetesExecutor.limitRange.limits:max.ephemeral-storage}; a pod has the containers of its template",
        "those of the worker group: {workers.<name>.resources.limits.cpu}, {workers.<name>.resources.limits.memory};"
        " request for disk {kubernetesExecutor.limitRange.limits:defaultRequest.ephemeral-storage}."
        " Without a limit, the maximum. A container of `pod_override` without requests:"
        " {kubernetesExecutor.limitRange.limits:defaultRequest.cpu},"
        " {kubernetesExecutor.limitRange.limits:defaultRequest.memory}",
        _POD_ENDS, _EXECUTOR,
    ),
    Ceiling(
        "emptyDirs", "`pod_override` of a DAG", "the containers' limits for disk or memory together", "the same",
        _POD_ENDS, _EXECUTOR,
    ),
    Ceiling(
        "claims of ephemeral volumes", "`pod_override` of a DAG",
        "{kubernetesExecutor.limitRange.limits:max.storage} each", "-", _POD_ENDS, _EXECUTOR,
    ),
)  # fmt: skip

_WORKERS = (
    Ceiling(
        "tasks at a time", "scheduler",
        "{workers.<name>.concurrency} for each pod; with autoscaling, up to {workers.<name>.autoscaling.max} pods",
        "-", "with the task", "tests/render/test_ceilings.py::test_workers_have_their_limits",
        covers=("workers.<name>.autoscaling.cooldownSeconds", "workers.<name>.autoscaling.min"),
    ),
    Ceiling(
        "CPU and memory of all tasks in a worker", "task processes",
        "{workers.<name>.resources.limits.cpu}, {workers.<name>.resources.limits.memory}", "-", "with the task",
        "tests/render/test_ceilings.py::test_workers_have_their_limits",
    ),
    Ceiling(
        "files in `/tmp` and in the directory that is shared with a Docker daemon", "task processes",
        "{workers.<name>.tmp.sizeLimit} for the shared one; both are emptyDirs with a size", "-",
        "the kubelet evicts the pod; with the pod",
        "tests/render/test_ceilings.py::test_workers_have_their_limits",
    ),
)  # fmt: skip

SECTIONS = (
    Section(
        "Workers",
        "All modes. Tasks run as processes of the worker.",
        _WORKERS,
    ),
    Section(
        "Objects of the task namespace",
        "Mode `kubernetes`. The quota counts in the namespaces in which the chart creates it: not in"
        " `tasks.extraNamespaces`.",
        _OBJECTS,
    ),
    Section("Task pods on nodes", "Mode `kubernetes`, in the task namespace.", _NODE),
    Section("Pods of KubernetesExecutor", "In `kubernetesExecutor.namespace`.", _EXECUTOR_ROWS),
)
