"""Findings that are part of the design, each with its reason. One that matches nothing fails a test."""

from scripts.lint.model import Acceptance

_DAEMON = (
    "a Docker daemon needs this. "
    "The daemon belongs to one worker pod, runs no DAG code, and has no Secret and no token"
)
_ROOTFUL = ("privileged", "userNamespace", "sysbox")
_IMAGE_GROUP = (
    "Airflow's image gives its files to group 0, so that any uid can run it. Here the root file system is "
    "read-only."
)
#: Components with that group.
_IN_GROUP_ZERO = (
    *("api-server", "autoscaler", "dag-processor", "database-cleanup", "pooler", "scheduler"),
    *("triggerer", "worker"),
)

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
            "Mode dind, variant userNamespace: these rights apply only inside the pod's user namespace.",
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
    *(Acceptance("group-zero", _IMAGE_GROUP, component=component) for component in _IN_GROUP_ZERO),
    Acceptance("group-zero", _IMAGE_GROUP, kind="PodTemplate"),
    *(
        Acceptance(
            policy,
            "Mode socket uses the node's Docker daemon. Only the Docker gateway mounts its socket.",
            mode="socket",
            container=container,
            field=f"{template}.spec.volumes[docker-host]",
        )
        for policy, container in (("host-path", ""), ("runtime-socket", "docker-gateway"))
        for template in ("spec.template", "template")
    ),
    Acceptance(
        "daemon-uid",
        "On OpenShift, all containers of a pod get one uid, which the cluster assigns. The worker still "
        "cannot see the gateway's processes and files, and mounts the socket's directory read-only "
        "(docs/openshift.md). workers.<name>.securityContextConstraints gives the uids back.",
        mode="kubernetes",
        container="docker-gateway",
        message="sets no uid",
    ),
    Acceptance(
        "rbac-custom",
        "workers.<name>.securityContextConstraints: the group's pods may use this SCC of OpenShift, in their "
        "namespace only. No worker may create pods there.",
        kind="Role",
        message="may use securitycontextconstraints of security.openshift.io",
    ),
    Acceptance(
        "image-digest",
        "By default images are named by tag, to receive patch releases. Set images.<name>.digest to pin "
        "an image.",
    ),
    Acceptance(
        "secret-env",
        "Airflow, PostgreSQL and Valkey read these from the environment. Each container gets only the "
        "keys it needs.",
    ),
    Acceptance(
        "rbac-create-pods",
        "Mode kubernetes: the worker creates task pods in the task namespace, which enforces Pod Security "
        "restricted and contains no Secret of the release.",
        kind="Role",
        name="-task-launcher",
        component="tasks",
    ),
    Acceptance(
        "rbac-create-pods",
        "Mode kubernetes: the Docker gateway creates task pods in the task namespace, which enforces Pod "
        "Security restricted and contains no Secret of the release.",
        kind="Role",
        name="-docker-gateway",
        component="tasks",
    ),
    Acceptance(
        "rbac-attach",
        "Mode kubernetes: the Docker gateway sends standard input to containers (docker run -i). The "
        "admission policy lets it attach only to pods that it created. Set tasks.stdin: false to remove the "
        "right.",
        kind="Role",
        name="-docker-gateway",
        component="tasks",
    ),
    Acceptance(
        "token-shared",
        "Mode kubernetes: Airflow's Kubernetes operators in the worker need the token too, not only the "
        "Docker gateway. Set workers.<name>.kubernetesOperators: false for a group that does not use them.",
        mode="kubernetes",
        field="volumeMounts, for AIRFLOW_CONN_KUBERNETES_DEFAULT",
    ),
    Acceptance(
        "token-shared",
        "Mode kubernetes: this init container waits until the admission policy is active, and then ends.",
        mode="kubernetes",
        container="wait-for-fence",
    ),
    Acceptance(
        "token-shared",
        "workers.<name>.namespace: a second init container creates the group's Secrets from the release's "
        "Secrets, which must exist when it starts. Both run the same script; its token can only create "
        "Secrets.",
        component="api-server",
        container="share-secrets",
    ),
    Acceptance(
        "token-shared",
        "KubernetesExecutor: the api-server reads the logs of running pods. In the release's namespace its "
        "account can create Secrets, but cannot read or change them.",
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
                "the scheduler creates the tasks' pods, and checks which fields a DAG changes",
            ),
            (
                "rbac-beside-secrets",
                "-executor-scheduler",
                "",
                "the tasks' pods have a dedicated namespace, which contains no Secret of the release",
            ),
            ("namespace-quota", "", "", "[core] parallelism limits how many tasks run at the same time"),
            (
                "liveness",
                "",
                "base",
                "the container runs one task and ends, and the scheduler fails a task that sends no "
                "heartbeat",
            ),
        )
    ),
    Acceptance(
        "rbac-beside-secrets",
        "workers.<name>.autoscaling: the autoscaler marks busy workers by an annotation of their pods. An "
        "admission policy rejects every other change by its account.",
        kind="Role",
        name="-autoscaler",
        component="autoscaler",
    ),
    Acceptance(
        "rbac-exec",
        "Mode kubernetes: KubernetesPodOperator uses exec to read a task's XCom from its sidecar.",
        kind="Role",
        name="-task-launcher",
        component="tasks",
    ),
    *(
        Acceptance(
            "network-world",
            "Only you know which addresses DAG code and connections need. Set networkPolicy.egress: "
            "strict to list them.",
            component=component,
        )
        for component in ("worker", "kubernetes-executor", "triggerer", "dag-processor", "api-server")
    ),
    Acceptance(
        "network-world",
        "Only you know which addresses containers of tasks need. Set tasks.networkPolicy.egress: strict to "
        "list them.",
        kind="NetworkPolicy",
        component="tasks",
    ),
    *(
        Acceptance(
            "network-world",
            "The address of the external database or broker is in a Secret, which the chart cannot read. Set "
            "networkPolicy.egress: strict to list the addresses.",
            component=component,
        )
        for component in ("scheduler", "database-cleanup", "pooler")
    ),
    Acceptance(
        "network-open",
        "The chart does not know the pods of the ingress controller or Gateway. Set networkPolicy.uiFrom to "
        "name them.",
        kind="NetworkPolicy",
        component="api-server",
        field="spec.ingress[behind an Ingress]",
    ),
)
