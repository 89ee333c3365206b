"""Values of a wrong shape, out of range, or that inject text."""

from __future__ import annotations

from tests.render.bad_values.model import Bad, group

SHAPE = (
    Bad("unknown key at the root", {"worker": {}}, ("additional properties 'worker'",)),
    Bad("unknown key in a group", group(replica=1), ("/workers/default", "'replica'")),
    Bad("unknown key in an image", {"images": {"airflow": {"name": "x"}}}, ("/images/airflow", "'name'")),
    Bad("unknown image", {"images": {"worker": {}}}, ("/images", "'worker'")),
    Bad("unknown key three levels down", group(dind={"mirror": "x"}), ("/workers/default/dind", "'mirror'")),
    Bad("unknown mode", group(mode="podman"), ("/workers/default/mode", "'dind'")),
    Bad("unknown auth manager", {"auth": {"manager": "ldap"}}, ("/auth/manager", "simple|fab|")),
    Bad("null section", {"images": None}, ("missing property 'images'",)),
    Bad("null section inside", {"controlPlane": {"scheduler": None}}, ("/controlPlane", "'scheduler'")),
    Bad("null workers", {"workers": None}, ("missing property 'workers'",)),
    Bad("null workerDefaults", {"workerDefaults": None}, ("missing property 'workerDefaults'",)),
    Bad(
        "null block of workerDefaults", {"workerDefaults": {"socket": None}}, ("/workerDefaults", "'socket'")
    ),
    Bad(
        "null inside workerDefaults",
        {"workerDefaults": {"tmp": {"sizeLimit": None}}},
        ("/workerDefaults/tmp",),
    ),
    Bad("null mode", {"workerDefaults": {"mode": None}}, ("/workerDefaults", "'mode'")),
    Bad(
        "null filter",
        {"workerDefaults": {"socket": {"filter": None}}},
        ("/workerDefaults/socket", "'filter'"),
    ),
    Bad(
        "null limits",
        {"workerDefaults": {"socket": {"limits": None}}},
        ("/workerDefaults/socket", "'limits'"),
    ),
    Bad(
        "null variant", {"workerDefaults": {"dind": {"variant": None}}}, ("/workerDefaults/dind", "'variant'")
    ),
    Bad("null quota", {"tasks": {"quota": {"hard": None}}}, ("/tasks/quota", "'hard'")),
    Bad("null dind", group(mode="dind", dind=None), ("/workers/default/dind", "null")),
    Bad("null socket", group(mode="socket", socket=None), ("/workers/default/socket", "null")),
    Bad("null tmp", group(mode="dind", tmp=None), ("/workers/default/tmp", "null")),
    Bad("null concurrency", group(concurrency=None), ("/workers/default/concurrency", "null")),
    Bad("null config section", {"airflow": {"config": {"api": None}}}, ("/airflow/config/api", "null")),
    Bad("quoted boolean", {"ingress": {"enabled": "false"}}, ("/ingress/enabled", "boolean")),
    Bad("boolean as a number", {"dags": {"examples": 1}}, ("/dags/examples", "boolean")),
    Bad("quoted number", group(replicas="2"), ("/workers/default/replicas", "integer")),
    Bad("unquoted tag", {"images": {"airflow": {"tag": 2.10}}}, ("/images/airflow/tag", "string")),
    Bad("list for a map", {"workers": [{"mode": "dind"}]}, ("workers", "object")),
    Bad("map for a list", group(queues={"a": "b"}), ("/workers/default/queues", "array")),
    Bad("string for a list", group(queues="default"), ("/workers/default/queues", "array")),
    Bad("env as a list", group(env=[{"name": "A", "value": "b"}]), ("/workers/default/env",)),
    Bad(
        "a pull secret without a name", {"imagePullSecrets": [{"nam": "x"}]}, ("/imagePullSecrets/0", "'nam'")
    ),
    Bad("an image as a registry", {"images": {"registry": "a.example/b:c"}}, ("/images/registry",)),
    Bad("empty group's queues", group(queues=[]), ("/workers/default/queues",)),
    Bad("no queues", {"workers": {"default": {"queues": None}}}, ("workers.default.queues", "missing")),
    Bad("no group", {"workers": {"default": None}}, ("workers:", "no worker group")),
    Bad(
        "unknown key in a bundle",
        {"dags": {"bundles": [{"name": "a", "classpath": "x.Y", "kwarg": {}}]}},
        ("/dags/bundles/0", "'kwarg'"),
    ),
    *(
        Bad(f"a quota of {name}", {"tasks": {"quota": {"hard": {name: "1"}}}}, ("/tasks/quota/hard", name))
        for name in ("pod", "requests.cpus", "limits.pods", "nvidia.com/gpu", "count", "Secrets")
    ),
    *(
        Bad(
            f"the image {name!r}",
            {"images": {"airflow": {"repository": name}}},
            ("/images/airflow/repository",),
        )
        for name in (
            "https://registry.example.com/airflow",
            "registry.example.com/air flow",
            "/airflow",
            "a//b",
        )
    ),
    Bad("empty image", {"images": {"redis": {"repository": ""}}}, ("/images/redis/repository",)),
)
RANGES = (
    Bad("negative replicas", group(replicas=-1), ("/workers/default/replicas",)),
    Bad("half a replica", group(replicas=1.5), ("/workers/default/replicas", "integer")),
    Bad("no concurrency", group(concurrency=0), ("/workers/default/concurrency",)),
    Bad(
        "more tasks than a worker can run",
        group(concurrency=10**8),
        ("/workers/default/concurrency", "1,000"),
    ),
    Bad("a gid that is none", group(socket={"gid": 99999999999}), ("/workers/default/socket/gid",)),
    Bad("more replicas than a number", group(replicas=10**20), ("/workers/default/replicas",)),
    Bad("negative gid", group(socket={"gid": -1}), ("/workers/default/socket/gid",)),
    Bad(
        "a unit that there is not",
        group(resources={"limits": {"memory": "2GB"}}),
        ("/workers/default/resources/limits/memory", "2GB"),
    ),
    Bad("a size with a space", {"logs": {"sizeLimit": "5 Gi"}}, ("/logs/sizeLimit",)),
    Bad("a group in capitals", {"workers": {"Docker": {"queues": ["d"]}}}, ("workers:", '"Docker"')),
    Bad("a group of 21 letters", {"workers": {"d" * 21: {"queues": ["d"]}}}, ("workers:", "d" * 21)),
    Bad("a group with an underscore", {"workers": {"a_b": {"queues": ["d"]}}}, ("workers:", '"a_b"')),
    Bad("a variable with a dash", group(env={"a-b": "c"}), ("/workers/default/env", "'a-b'")),
    Bad("a Secret in capitals", {"secrets": {"admin": "Admin"}}, ("/secrets/admin", "Admin")),
    Bad("a task namespace of 64", {"tasks": {"namespace": "n" * 64}}, ("/tasks/namespace",)),
    Bad("a digest that is none", {"images": {"docker": {"digest": "sha256:1"}}}, ("/images/docker/digest",)),
    Bad("an illegal label", {"commonLabels": {"team": "data team"}}, ("/commonLabels/team", "data team")),
    Bad("an illegal pod label", group(podLabels={"a b": "c"}), ("/workers/default/podLabels", "'a b'")),
    Bad("a relative path", {"dags": {"path": "dags"}}, ("/dags/path",)),
    Bad(
        "an address range that is none", {"networkPolicy": {"apiServerCIDR": "10.0.0.1"}}, ("apiServerCIDR",)
    ),
    Bad(
        "a metadata address that is no range",
        {"networkPolicy": {"metadataAddresses": ["169.254.169.254"]}},
        ("/networkPolicy/metadataAddresses",),
    ),
    Bad(
        "a release name that no Service can have",
        {},
        ("fullnameOverride", "letter"),
        {"release": "1e3"},
    ),
    Bad(
        "a release name that no namespace can have",
        {},
        ('release name "my.release"', "dot"),
        {"release": "my.release"},
    ),
    Bad("a Kubernetes that is too old", {}, ("1.29", ">=1.30"), {"kube_version": "1.29.9"}),
    Bad(
        "an Airflow that is too old",
        {"images": {"airflow": {"tag": "2.11.0"}}},
        ("images.airflow.tag", "3.1"),
    ),
)
INJECTION = (
    Bad("a line break in a queue", group(queues=["a\nb: c"]), ("/workers/default/queues/0",)),
    Bad(
        "a line break in the user's name",
        {"auth": {"admin": {"username": "a\nb"}}},
        ("/auth/admin/username",),
    ),
    Bad("a template in a Secret's name", {"secrets": {"admin": "{{ .Values }}"}}, ("/secrets/admin",)),
    Bad("a comma in a queue", group(queues=["a,b"]), ("/workers/default/queues/0",)),
    Bad("a host with a path", {"ingress": {"host": "a.example.com/x"}}, ("/ingress/host",)),
    Bad("a mirror that is no URL", group(dind={"registryMirrors": ["mirror"]}), ("/dind/registryMirrors/0",)),
)
