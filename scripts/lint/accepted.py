"""Findings that are part of the design, each with its reason. One that matches nothing fails a test."""

from scripts.lint.model import Acceptance

_DAEMON = "a Docker daemon needs it; it is the group's own, runs no DAG code, and holds no secret or token"
_ROOTFUL = ("privileged", "userNamespace", "sysbox")
_IMAGE_GROUP = "Airflow's image gives its files to group 0, so that any uid can run it"

ACCEPTED: tuple[Acceptance, ...] = (
    *(
        Acceptance(policy, f"Mode dind: {_DAEMON}.", mode="dind", container="docker", variants=variants)
        for policy, variants in (
            ("privileged", ("privileged", "rootless")),
            ("privilege-escalation", ()),
            ("capabilities-dropped", ()),
            ("non-root", _ROOTFUL),
            ("root-user", _ROOTFUL),
            ("read-only-root", ()),
        )
    ),
    *(
        Acceptance(
            policy,
            "Mode dind, variant userNamespace: what its root may do ends at the pod's user namespace.",
            mode="dind",
            container="docker",
            variants=("userNamespace",),
            message=message,
        )
        for policy, message in (
            ("capabilities-added", '"NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE" in'),
            ("seccomp", ""),
            ("apparmor", ""),
            ("proc-mount", ""),
        )
    ),
    Acceptance(
        "group-zero",
        "Mode dind: a Docker daemon runs as root.",
        mode="dind",
        container="docker",
        variants=_ROOTFUL,
    ),
    *(
        Acceptance(
            "group-zero",
            f"{_IMAGE_GROUP}. Its root file system is read-only here.",
            mode=mode,
            kind=kind,
        )
        for mode, kind in (("", "Deployment"), ("dind", "StatefulSet"), ("", "PodTemplate"))
    ),
    *(
        Acceptance(
            policy,
            "Mode socket uses the node's Docker daemon. The Docker gateway alone has its socket.",
            mode="socket",
            container=container,
            field=f"{template}.spec.volumes[docker-host]",
        )
        for policy, container in (("host-path", ""), ("runtime-socket", "docker-gateway"))
        for template in ("spec.template", "template")
    ),
    Acceptance(
        "image-digest",
        "Images are tags by default, for their patch releases. Set images.<name>.digest to pin one.",
    ),
    Acceptance(
        "secret-env",
        "Airflow, PostgreSQL and Valkey read variables. Each container gets only the keys that it needs.",
    ),
    Acceptance(
        "rbac-create-pods",
        "Mode kubernetes: a worker makes the task pods, in the task namespace, which enforces restricted and "
        "holds no Secret.",
        kind="Role",
        name="-task-launcher",
        component="tasks",
    ),
    Acceptance(
        "rbac-create-pods",
        "Mode kubernetes: the Docker gateway makes the task pods, in the task namespace, which enforces "
        "restricted and holds no Secret.",
        kind="Role",
        name="-docker-gateway",
        component="tasks",
    ),
    Acceptance(
        "token-shared",
        "Mode kubernetes: Airflow's Kubernetes operators need the token in the worker, beside the Docker "
        "gateway. Set kubernetesOperators: false for a group that runs none.",
        mode="kubernetes",
        field="volumeMounts, for AIRFLOW_CONN_KUBERNETES_DEFAULT",
    ),
    Acceptance(
        "token-shared",
        "Mode kubernetes: a script of the chart asks once whether the admission fence holds, and ends.",
        mode="kubernetes",
        container="wait-for-fence",
    ),
    Acceptance(
        "token-shared",
        "workers.<name>.namespace: a second init container makes the group's Secrets from the release's, "
        "which have to be there when it starts. Both run one script, whose token may only create Secrets.",
        component="api-server",
        container="share-secrets",
    ),
    Acceptance(
        "token-shared",
        "KubernetesExecutor: the api-server reads the logs of pods that run. In the release's namespace its "
        "account may create Secrets, and neither read nor change one.",
        component="api-server",
        container="create-secrets",
        field="volumeMounts, for AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE",
    ),
    *(
        Acceptance(
            policy,
            f"KubernetesExecutor: {reason}.",
            component="kubernetes-executor",
            name=name,
            container=container,
        )
        for policy, name, container, reason in (
            (
                "rbac-create-pods",
                "-executor-scheduler",
                "",
                "the scheduler makes the tasks' pods, and checks what a DAG says of them",
            ),
            (
                "rbac-beside-secrets",
                "-executor-scheduler",
                "",
                "the pods are alone in their namespace, which holds no Secret of the release",
            ),
            (
                "admission-fence",
                "",
                "",
                "only the scheduler makes pods there, and checks each against its worker group's template",
            ),
            ("namespace-quota", "", "", "[core] parallelism bounds how many tasks there are at once"),
            ("namespace-limits", "", "", "each container has limits from its worker group's values"),
            (
                "liveness",
                "",
                "base",
                "a task's process ends, and the scheduler fails a task that sends no heartbeat",
            ),
        )
    ),
    *(
        Acceptance(
            "rbac-cluster-wide",
            "tasks.userNamespaces: auto asks which nodes can do user namespaces; the rule lists nodes alone.",
            kind=kind,
            name="-list-nodes",
        )
        for kind in ("ClusterRole", "ClusterRoleBinding")
    ),
    Acceptance(
        "rbac-exec",
        "Mode kubernetes: KubernetesPodOperator reads a task's XCom by exec into its sidecar.",
        kind="Role",
        name="-task-launcher",
        component="tasks",
    ),
    *(
        Acceptance(
            "network-world",
            "DAG code and connections reach sources that only you know. Set networkPolicy.egress: strict.",
            component=component,
        )
        for component in ("worker", "kubernetes-executor", "triggerer", "dag-processor", "api-server")
    ),
    Acceptance(
        "network-world",
        "The database or broker is outside the release, its address in a Secret. Set networkPolicy.egress: "
        "strict.",
        component="scheduler",
    ),
    Acceptance(
        "network-open",
        "The chart cannot know which pods are the ingress controller's. Set networkPolicy.uiFrom.",
        kind="NetworkPolicy",
        component="api-server",
        field="spec.ingress[behind an Ingress]",
    ),
)
