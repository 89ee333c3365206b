"""Faults that the contracts of contracts/numbers.py find."""

from __future__ import annotations

from tests.render.faults.model import API, DEPLOYMENT, POLICY, SCHEDULER, SERVICE, Fault, container, pod, put

FAULTS = (
    Fault(
        "quantities",
        "a request above its limit",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["resources"]["requests"].update(cpu="3000m"),
        "requests more cpu (3.000) than its limit (2)",
    ),
    Fault(
        "quantities",
        "a unit that there is not",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["resources"]["limits"].update(memory="2GB"),
        "resources.limits.memory: '2GB' is no quantity",
    ),
    Fault(
        "quantities",
        "a claim of nothing",
        "PersistentVolumeClaim",
        "airdock-logs",
        put("spec", "resources", "requests", "storage", value="0"),
        "storage: '0' is not positive",
        "logs-claim",
    ),
    Fault(
        "field-values",
        "a port out of range",
        SERVICE,
        API,
        lambda raw: raw["spec"]["ports"][0].update(port=70000),
        "port 70000",
    ),
    Fault(
        "field-values",
        "a bogus hostPath type",
        DEPLOYMENT,
        "airdock-worker-socket",
        lambda raw: [v["hostPath"].update(type="Sock") for v in pod(raw)["volumes"] if "hostPath" in v],
        "hostPath.type 'Sock'",
    ),
    Fault(
        "field-values",
        "an address range that is none",
        POLICY,
        "airdock-dag-processor",
        lambda raw: [
            peer["ipBlock"].update({"except": ["10.0.0.0/33"]})
            for rule in raw["spec"]["egress"]
            for peer in rule.get("to", ())
            if "ipBlock" in peer
        ],
        "ipBlock: '10.0.0.0/33'",
    ),
    Fault(
        "field-values",
        "a host with a space",
        "Ingress",
        API,
        lambda raw: raw["spec"]["rules"][0].update(host="a b.example.com"),
        "the host 'a b.example.com' is no DNS name",
        "fab-ingress",
    ),
    Fault(
        "field-values",
        "a host name with a space",
        "HTTPRoute",
        API,
        lambda raw: raw["spec"].update(hostnames=["a b.example.com"]),
        "the host 'a b.example.com' is no DNS name",
        "behind-a-gateway",
    ),
    Fault(
        "field-values",
        "a probe with two handlers",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["livenessProbe"].update(exec={"command": ["true"]}),
        "needs exactly one handler and has exec, httpGet",
    ),
    Fault(
        "field-values",
        "a relative mount",
        DEPLOYMENT,
        SCHEDULER,
        lambda raw: container(raw, "scheduler")["volumeMounts"][0].update(mountPath="tmp"),
        "mountPath 'tmp' is no absolute path",
    ),
)
