"""Policies for the network and for namespaces."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.chart import Manifest, Manifests, matches
from scripts.chart.values_schema import defaults
from scripts.lint import reach
from scripts.lint.model import CheckRelease, Found, Policy, cis, nsa, pss
from scripts.lint.pod_security import Level, verdict
from scripts.lint.policies import rbac
from scripts.lint.reach import Direction, Endpoint, Network

#: Pod Security levels, the laxest first.
LEVELS: tuple[Level, ...] = ("privileged", "baseline", "restricted")
#: Where clouds serve metadata and credentials to nodes: the chart's list, whatever a release's values are.
METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(cidr) for cidr in defaults()["networkPolicy"]["metadataAddresses"]
)
DNS_PORTS = (53, 5353)
#: Addresses of nobody in particular: documentation prefixes (RFC 5737, RFC 3849).
ANYWHERE = ("203.0.113.7", "2001:db8::7")


def _undenied(way: Direction) -> CheckRelease:
    def find(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
        for manifest, pod in manifests.pods:
            if not reach.policies_of(manifests, manifest.namespace, pod.labels, way):
                yield manifest, Found("metadata.labels", f"no NetworkPolicy for {way} selects the pods")

    return find


def _endpoints(manifests: Manifests) -> Iterator[tuple[Manifest, Endpoint]]:
    """The pods of a release, and one for those to come where a policy holds all pods of a namespace."""
    for manifest, pod in manifests.pods:
        yield manifest, reach.endpoint(manifest, pod)
    homes = _homes(manifests)
    for policy in manifests.all("NetworkPolicy"):
        if policy.namespace not in homes and policy.selects({}):
            yield policy, Endpoint(policy.namespace, {})


def _to_metadata(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    for manifest, pod in _endpoints(manifests):
        for part, rule in (found for network in METADATA for found in reach.opened(manifests, pod, network)):
            ports = sorted({str(entry.get("port", "all")) for entry in rule.get("ports") or [{}]})
            # One address for DNS alone is a DNS server that somebody named, such as NodeLocal DNSCache.
            if part.num_addresses > 1 or not {*ports} <= {*map(str, DNS_PORTS)}:
                message = f"may connect to {part}, ports: {', '.join(ports)}"
                yield manifest, Found("metadata.labels", message)
                break


def _to_anywhere(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    for manifest, own in _endpoints(manifests):
        # A port that nothing in particular uses: rules for DNS or the API server do not count.
        if any(reach.allowed(manifests, own, Endpoint(address=a), 4444, "Egress") for a in ANYWHERE):
            yield manifest, Found("metadata.labels", "may connect to any address, on any port")


def _open(entry: Mapping[str, Any]) -> bool:
    block = entry.get("ipBlock")
    if block:
        return str(block.get("cidr", "")).endswith("/0")
    selector = entry.get("namespaceSelector")
    return selector is not None and not selector and not entry.get("podSelector")


def _open_ingress(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    for policy in manifests.all("NetworkPolicy"):
        for number, rule in enumerate(policy.get("spec", "ingress") or ()):
            peers = rule.get("from") or ()
            if not peers or any(_open(entry) for entry in peers):
                place = "behind an Ingress" if _behind_ingress(manifests, policy) else number
                yield policy, Found(f"spec.ingress[{place}].from", "everyone may connect")


def _behind_ingress(manifests: Manifests, policy: Manifest) -> bool:
    """Whether an Ingress or HTTPRoute leads to pods that the policy selects: its controller reaches them."""
    services = {
        (ingress.namespace, path.get("backend", {}).get("service", {}).get("name"))
        for ingress in manifests.all("Ingress")
        for rule in ingress.get("spec", "rules") or ()
        for path in rule.get("http", {}).get("paths") or ()
    }
    services |= {pair for route in manifests.all("HTTPRoute") for pair in _backends(route)}
    return any(
        (service.namespace, service.name) in services
        and service.namespace == policy.namespace
        and policy.selects(service.selector or {})
        for service in manifests.all("Service")
    )


def _backends(route: Manifest) -> Iterator[tuple[str, str]]:
    """(namespace, name) of the Services of an HTTPRoute."""
    for rule in route.get("spec", "rules") or ():
        for backend in rule.get("backendRefs") or ():
            yield backend.get("namespace", route.namespace), backend["name"]


def _all_ports(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind != "NetworkPolicy":
        return
    for number, rule in enumerate(manifest.get("spec", "ingress") or ()):
        if not rule.get("ports"):
            yield Found(f"spec.ingress[{number}].ports", "these peers can connect to all ports")


def _homes(manifests: Manifests) -> set[str]:
    """Namespaces of the release's own pods, each of which is judged by itself."""
    return {manifest.namespace for manifest, _ in manifests.pods}


def _unguarded_namespaces(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    for namespace in manifests.all("Namespace"):
        if namespace.name in _homes(manifests):
            continue
        for way in ("Ingress", "Egress"):
            if not any(
                policy.namespace == namespace.name
                and policy.selector == {}
                and not policy.get("spec", "podSelector", "matchExpressions")
                and way in reach.directions(policy)
                for policy in manifests.all("NetworkPolicy")
            ):
                yield (
                    namespace,
                    Found("metadata.name", f"no NetworkPolicy for {way} selects all pods of the namespace"),
                )


def _exposed(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind != "Service":
        return
    if (kind := manifest.get("spec", "type", default="ClusterIP")) in ("NodePort", "LoadBalancer"):
        yield Found("spec.type", f"{kind}: everyone who can reach the nodes or the load balancer can connect")
    if manifest.get("spec", "externalIPs"):
        yield Found("spec.externalIPs", "the Service takes over the traffic of these addresses")


def _plain_ingress(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    for ingress in manifests.all("Ingress"):
        entries = ingress.get("spec", "tls") or ()
        if not entries:
            yield ingress, Found("spec.tls", "passwords and tokens are sent without encryption")
        # An entry without hosts is for all.
        secured = {host for entry in entries for host in entry.get("hosts") or ("",)}
        for rule in ingress.get("spec", "rules") or ():
            host = rule.get("host", "")
            if entries and not {"", host, f"*.{host.partition('.')[2]}"} & secured:
                what = f"passwords and tokens are sent to {host or 'other hosts'} without encryption"
                yield ingress, Found(f"spec.rules[{host}].host", what)
    for route in manifests.all("HTTPRoute"):
        for url in sorted(_base_urls(manifests, route)):
            if url.startswith("http://"):
                what = f"Airflow's base URL is {url}: passwords and tokens are sent without encryption"
                yield route, Found("spec.hostnames", what)


def _base_urls(manifests: Manifests, route: Manifest) -> set[str]:
    """Airflow's base URL in the pods that an HTTPRoute leads to: whether its Gateway has TLS is not in it."""
    backends = set(_backends(route))
    services = [s for s in manifests.all("Service") if (s.namespace, s.name) in backends]
    return {
        manifests.environment(manifest, container).get("AIRFLOW__API__BASE_URL", "")
        for manifest, pod, container in manifests.containers
        for service in services
        if service.namespace == manifest.namespace and service.selects(pod.labels)
    }


def _lax_namespaces(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    prefix = "pod-security.kubernetes.io/"
    for namespace in manifests.all("Namespace"):
        level = namespace.labels.get(f"{prefix}enforce", "privileged")
        strictest = _strictest_level(manifests, namespace.name)
        if level not in LEVELS or LEVELS.index(level) < LEVELS.index(strictest):
            message = f"enforces {level}, but its pods also meet {strictest}"
            yield namespace, Found(f"metadata.labels[{prefix}enforce]", message)
        if namespace.labels.get(f"{prefix}enforce-version", "latest") == "latest":
            message = "without a version, a cluster upgrade can reject pods that ran before"
            yield namespace, Found(f"metadata.labels[{prefix}enforce-version]", message)


def _strictest_level(manifests: Manifests, namespace: str) -> str:
    """The strictest level that admits all pods of the release in a namespace."""
    pods = [pod for manifest, pod in manifests.pods if manifest.namespace == namespace]

    def admits(level: Level) -> bool:
        return not any(verdict({"annotations": pod.annotations}, pod.raw, level) for pod in pods)

    return next(level for level in reversed(LEVELS) if admits(level))


def _task_namespaces(manifests: Manifests) -> dict[str, Manifest]:
    """Where the release lets pods be created: its Namespace, or the Role, for a namespace made by others."""
    found = {
        role.namespace: role
        for role in manifests.all("Role")
        for rule in role.raw.get("rules") or ()
        if rbac.grants(rule, ("create",), ("pods",))
    }
    namespaces = {namespace.name: namespace for namespace in manifests.all("Namespace")}
    return {name: namespaces.get(name, role) for name, role in found.items()} | {
        name: namespace for name, namespace in namespaces.items() if name not in _homes(manifests)
    }


def _lacking(kind: str, message: str) -> CheckRelease:
    def find(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
        for name, blamed in _task_namespaces(manifests).items():
            if not manifests.all(kind, namespace=name):
                yield blamed, Found("metadata", message)

    return find


def _open_admission(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    bindings = manifests.all("ValidatingAdmissionPolicyBinding")
    for binding in bindings:
        if "Deny" not in (binding.get("spec", "validationActions") or ()):
            yield binding, Found("spec.validationActions", "pods that violate the policy are admitted")
        if not manifests.all("ValidatingAdmissionPolicy", name=str(binding.get("spec", "policyName"))):
            yield binding, Found("spec.policyName", "the manifests contain no policy of this name")
    for policy in manifests.all("ValidatingAdmissionPolicy"):
        if policy.get("spec", "failurePolicy", default="Fail") != "Fail":
            yield (
                policy,
                Found("spec.failurePolicy", "if the policy cannot be evaluated, the pod is admitted"),
            )
        if not any(binding.get("spec", "policyName") == policy.name for binding in bindings):
            yield policy, Found("metadata.name", "no binding refers to the policy, so it never applies")
        for number, rule in enumerate(policy.get("spec", "matchConstraints", "resourceRules") or ()):
            seen = set(rule.get("operations") or ())
            if _judges_pods(rule) and not seen & {"CREATE", "UPDATE", "*"}:
                field = f"spec.matchConstraints.resourceRules[{number}].operations"
                yield policy, Found(field, "the policy does not see pods that are created or changed")
        for number, validation in enumerate(policy.get("spec", "validations") or ()):
            if str(validation.get("expression", "")).strip() in ("", "true"):
                yield (
                    policy,
                    Found(f"spec.validations[{number}].expression", "the expression admits every pod"),
                )


def _judges_pods(rule: Mapping[str, Any]) -> bool:
    """Whether an entry of resourceRules is about all pods."""
    return "pods" in (rule.get("resources") or ()) and not rule.get("resourceNames")


def _is_for_one_user(policy: Manifest) -> bool:
    """Whether a policy judges the requests of a single user or service account."""
    conditions = policy.get("spec", "matchConditions", default=[]) or ()
    return any(
        str(each.get("expression", "")).lstrip().startswith("request.userInfo.username ==")
        for each in conditions
    )


def _unfenced(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    """Namespaces in which somebody may create pods, held by no admission policy."""
    for name, blamed in _task_namespaces(manifests).items():
        # The API server labels each namespace with its name. What else others put on theirs is unknown.
        labels = {"kubernetes.io/metadata.name": name}
        if blamed.kind == "Namespace":
            labels |= blamed.labels
        bindings = manifests.all("ValidatingAdmissionPolicyBinding")
        selectors = [b.get("spec", "matchResources", "namespaceSelector", default={}) for b in bindings]
        bound = {
            binding.get("spec", "policyName")
            for binding, selector in zip(bindings, selectors, strict=True)
            if matches(selector, labels)
        }
        if not bound and blamed.kind != "Namespace":
            bound = {binding.get("spec", "policyName") for binding in bindings}
        operations = {
            operation
            for policy in manifests.all("ValidatingAdmissionPolicy")
            if policy.name in bound and not _is_for_one_user(policy)
            for rule in policy.get("spec", "matchConstraints", "resourceRules") or ()
            if _judges_pods(rule)
            for operation in rule.get("operations") or ()
        }
        if not {"CREATE", "UPDATE"} <= operations:
            message = f"no admission policy checks the pods that the release may create in {name}"
            yield blamed, Found("metadata", message)


def _shared_namespaces(manifest: Manifest) -> Iterator[Found]:
    if manifest.namespace in ("default", "kube-system", "kube-public", "kube-node-lease"):
        yield Found("metadata.namespace", f"{manifest.namespace} is a namespace that others share")


POLICIES: tuple[Policy, ...] = (
    Policy(
        "network-ingress",
        "Ingress is denied unless allowed",
        "high",
        "Without a NetworkPolicy, every pod of the cluster can connect to every port.",
        "Set networkPolicy.enabled: true, or add a NetworkPolicy of type Ingress that selects the pods.",
        (cis("5.3.2"), nsa("C-0030"), nsa("C-0054")),
        check_release=_undenied("Ingress"),
    ),
    Policy(
        "network-egress",
        "Egress is denied unless allowed",
        "medium",
        "Without a NetworkPolicy, a pod can send data to any address.",
        "Set networkPolicy.enabled: true, or add a NetworkPolicy of type Egress that selects the pods.",
        (cis("5.3.2"), nsa("C-0030")),
        check_release=_undenied("Egress"),
    ),
    Policy(
        "network-namespace",
        "A created namespace denies traffic by default",
        "high",
        "Otherwise pods that are created later, such as task pods, have no NetworkPolicy.",
        "Add a NetworkPolicy with an empty podSelector, for Ingress and Egress, to the namespace.",
        (cis("5.3.2"), nsa("C-0030")),
        check_release=_unguarded_namespaces,
    ),
    Policy(
        "network-metadata",
        "No access to the metadata service of the cloud",
        "high",
        "The metadata service gives the node's cloud credentials to every pod that can connect to it.",
        "Name the peers of each egress rule, and add the addresses in networkPolicy.metadataAddresses to "
        "ipBlock.except.",
        (nsa("C-0030"),),
        check_release=_to_metadata,
    ),
    Policy(
        "network-world",
        "Egress only to named peers",
        "low",
        "A pod that can connect to any address can send data to any address.",
        "Set networkPolicy.egress: strict and list the peers in networkPolicy.egressRules (for task pods: "
        "tasks.networkPolicy.egress and tasks.networkPolicy.egressRules).",
        (nsa("C-0030"),),
        check_release=_to_anywhere,
    ),
    Policy(
        "network-open",
        "Ingress only from named peers",
        "medium",
        "A rule without peers admits every pod, and everything outside the cluster that has a route to "
        "the pods.",
        "List the peers of the rule (for the UI: networkPolicy.uiFrom).",
        (nsa("C-0030"),),
        check_release=_open_ingress,
    ),
    Policy(
        "network-ports",
        "Ingress only to named ports",
        "medium",
        "A rule without ports also opens ports that the pod opens by accident.",
        "List the ports of the rule.",
        (nsa("C-0030"),),
        check_object=_all_ports,
    ),
    Policy(
        "service-exposed",
        "Services stay in the cluster",
        "medium",
        "NodePort and LoadBalancer bypass the Ingress, its TLS and its rules.",
        "Set controlPlane.apiServer.service.type: ClusterIP, and use an Ingress or an HTTPRoute.",
        check_object=_exposed,
    ),
    Policy(
        "ingress-tls",
        "The UI is served over TLS",
        "high",
        "Users send their Airflow password through this Ingress or HTTPRoute.",
        "Set ingress.tlsSecretName, and ingress.hosts.<name>.tlsSecretName where it is empty. For an "
        "HTTPRoute: httpRoute.scheme: https.",
        check_release=_plain_ingress,
    ),
    Policy(
        "namespace-psa",
        "A created namespace enforces the strictest Pod Security level that its pods meet",
        "high",
        "Otherwise everyone who may create pods there can create privileged pods.",
        "Set the namespace labels pod-security.kubernetes.io/enforce (to that level) and enforce-version.",
        (cis("5.2.1"), pss("restricted", "Pod Security Admission")),
        check_release=_lax_namespaces,
    ),
    Policy(
        "namespace-quota",
        "A namespace for task pods has a quota",
        "medium",
        "Otherwise a DAG that loops can fill the cluster with pods.",
        "Set tasks.quota.enabled: true, or add a ResourceQuota.",
        (cis("5.6.1"),),
        check_release=_lacking(
            "ResourceQuota", "the namespace has no ResourceQuota: its pods may use the whole cluster"
        ),
    ),
    Policy(
        "namespace-limits",
        "A namespace for task pods has default limits",
        "medium",
        "A task pod without limits can starve the other pods on its node.",
        "Set tasks.limitRange.enabled: true, or add a LimitRange.",
        (nsa("C-0270"), nsa("C-0271")),
        check_release=_lacking(
            "LimitRange", "the namespace has no LimitRange: pods that set no limits have none"
        ),
    ),
    Policy(
        "admission-fence",
        "An admission policy checks the pods that DAG authors create",
        "high",
        "RBAC cannot restrict which Secrets, accounts, volumes and nodes a pod uses. An admission policy "
        "can.",
        "Set tasks.admission.enabled: true; for the pods of KubernetesExecutor, "
        "kubernetesExecutor.admission.enabled: true.",
        (cis("5.2.1"),),
        check_release=_unfenced,
    ),
    Policy(
        "admission-deny",
        "Admission policies reject violations",
        "high",
        "A policy that is not bound, only audits, or ignores errors protects nothing.",
        "Bind the policy with validationActions: [Deny], set failurePolicy: Fail, and set an expression.",
        (cis("5.2.1"),),
        check_release=_open_admission,
    ),
    Policy(
        "namespace-shared",
        "Nothing in namespaces of the cluster itself",
        "medium",
        "Other workloads share the rights and quotas of this namespace.",
        "Install into a dedicated namespace.",
        (cis("5.6.4"), cis("5.6.1")),
        check_object=_shared_namespaces,
    ),
)
