"""Checks of what containers and pods may do: users, capabilities, profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scripts.lint.pod_security.model import (
    Broken,
    Check,
    Json,
    Place,
    Pod,
    bad_profiles,
    containers_named,
    get,
    name_of,
    plural,
    profile_places,
    quoted,
    setters,
)


def _privilege_escalation(pod: Pod) -> Broken | None:
    if pod.windows:
        return None
    field = "securityContext.allowPrivilegeEscalation"
    bad = [name_of(c) for c in pod.containers() if get(c, *field.split(".")) is not False]
    detail = f"{containers_named(bad)} must set {field}=false"
    return (
        Broken("allowPrivilegeEscalation != false", detail, [Place(c, field) for c in bad]) if bad else None
    )


_APPARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/"


def _app_armor(pod: Pod) -> Broken | None:
    field = "securityContext.appArmorProfile.type"
    pod_level, containers, values = bad_profiles(pod, "appArmorProfile", ("RuntimeDefault", "Localhost"))
    places = profile_places(field, pod_level, containers)
    annotations = sorted(
        f'{key}="{value}"'
        for key, value in pod.annotations.items()
        if key.startswith(_APPARMOR_PREFIX)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    who = [text for text in (setters(pod_level, containers),) if text]
    if annotations:
        who.append(plural("annotation", len(annotations)))
        places += [Place(None, f"metadata.annotations[{text.partition('=')[0]}]") for text in annotations]
    if not who:
        return None
    shown = sorted(values) + annotations
    return Broken(
        plural("forbidden AppArmor profile", len(shown)),
        f"{' and '.join(who)} must not set AppArmor profile type to {quoted(shown)}",
        places,
    )


_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def _added_capabilities(pod: Pod, allowed: Iterable[str]) -> tuple[list[str], str]:
    """The containers that add others than the allowed ones, and what upstream says of them."""
    containers, forbidden = [], set()
    for container in pod.containers():
        bad = set(get(container, "securityContext", "capabilities", "add") or ()) - set(allowed)
        if bad:
            containers.append(name_of(container))
            forbidden |= bad
    named = f"{containers_named(containers)} must not include {quoted(sorted(forbidden))}"
    return containers, f"{named} in securityContext.capabilities.add"


def _capabilities_baseline(pod: Pod) -> Broken | None:
    bad, detail = _added_capabilities(pod, _BASELINE_CAPABILITIES)
    places = [Place(c, "securityContext.capabilities.add") for c in bad]
    return Broken("non-default capabilities", detail, places) if bad else None


def _capabilities_restricted(pod: Pod) -> Broken | None:
    if pod.windows:
        return None
    details, places = [], []
    keeping = [
        name_of(c)
        for c in pod.containers()
        # Upper case only: that is how the API server compares.
        if "ALL" not in (get(c, "securityContext", "capabilities", "drop") or ())
    ]
    if keeping:
        details.append(f'{containers_named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
        places += [Place(c, "securityContext.capabilities.drop") for c in keeping]
    adding, detail = _added_capabilities(pod, ["NET_BIND_SERVICE"])
    if adding:
        details.append(detail)
        places += [Place(c, "securityContext.capabilities.add") for c in adding]
    return Broken("unrestricted capabilities", "; ".join(details), places) if details else None


def _privileged(pod: Pod) -> Broken | None:
    bad = [name_of(c) for c in pod.containers() if get(c, "securityContext", "privileged")]
    places = [Place(c, "securityContext.privileged") for c in bad]
    return (
        Broken("privileged", f"{containers_named(bad)} must not set securityContext.privileged=true", places)
        if bad
        else None
    )


def _non_root(pod: Pod) -> Broken | None:
    if pod.user_namespace:
        return None
    field = "securityContext.runAsNonRoot"
    pod_value = get(pod.spec, "securityContext", "runAsNonRoot")
    values = [(name_of(c), get(c, "securityContext", "runAsNonRoot")) for c in pod.containers()]
    explicit = [name for name, value in values if value is False]
    implicit = [] if pod_value else [name for name, value in values if value is None]
    if not (pod_value is False or explicit or implicit):
        return None
    # Upstream speaks of the implicit ones only where there are no others; the places are all.
    detail = f"pod or {containers_named(implicit)} must set {field}=true"
    if pod_value is False or explicit:
        detail = f"{setters(pod_value is False, explicit)} must not set {field}=false"
    places = profile_places(field, pod_value is False, [*explicit, *implicit])
    return Broken("runAsNonRoot != true", detail, places)


def _root_user(pod: Pod) -> Broken | None:
    if pod.user_namespace:
        return None

    def root(owner: Json) -> bool:
        value = get(owner, "securityContext", "runAsUser")
        return value is not None and value == 0

    bad = [name_of(c) for c in pod.containers() if root(c)]
    if not (who := setters(root(pod.spec), bad)):
        return None
    places = profile_places("securityContext.runAsUser", root(pod.spec), bad)
    return Broken("runAsUser=0", f"{who} must not set runAsUser=0", places)


def _se_linux(pod: Pod) -> Broken | None:
    allowed = {"", "container_t", "container_init_t", "container_kvm_t"}
    if pod.minor >= 31:
        allowed.add("container_engine_t")
    types: set[str] = set()
    set_keys: set[str] = set()
    places: list[Place] = []

    def bad(owner: Json, container: str | None) -> bool:
        options = get(owner, "securityContext", "seLinuxOptions")
        if not isinstance(options, Mapping):
            return False
        keys = [key for key in ("user", "role") if options.get(key)]
        set_keys.update(keys)
        kind = options.get("type") or ""
        if kind not in allowed:
            types.add(kind)
            keys.append("type")
        prefix = "" if container else "spec."
        places.extend(Place(container, f"{prefix}securityContext.seLinuxOptions.{key}") for key in keys)
        return bool(keys)

    pod_level = bad(pod.spec, None)
    containers = [name_of(c) for c in pod.containers() if bad(c, name_of(c))]
    if not pod_level and not containers:
        return None
    data = [f"{plural('type', len(types))} {quoted(sorted(types))}"] if types else []
    data += [f"{key} may not be set" for key in ("user", "role") if key in set_keys]
    who = setters(pod_level, containers)
    detail = f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"
    return Broken("seLinuxOptions", detail, places)


_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_SECCOMP_FIELD = "securityContext.seccompProfile.type"


def _seccomp_annotations(pod: Pod) -> Broken | None:
    """Before 1.19, seccomp was a matter of annotations."""
    keys = {_SECCOMP_POD, *(_SECCOMP_CONTAINER + name_of(c) for c in pod.containers())}
    values = {key: pod.annotations[key] for key in keys if key in pod.annotations}
    bad = sorted(
        f'{key}="{value}"'
        for key, value in values.items()
        if value not in ("runtime/default", "docker/default") and not value.startswith("localhost/")
    )
    places = [Place(None, f"metadata.annotations[{text.partition('=')[0]}]") for text in bad]
    detail = f"forbidden {plural('annotation', len(bad))} {', '.join(bad)}"
    return Broken("seccompProfile", detail, places) if bad else None


def _seccomp_baseline(pod: Pod) -> Broken | None:
    if pod.minor < 19:
        return _seccomp_annotations(pod)
    pod_level, containers, values = bad_profiles(pod, "seccompProfile", ("RuntimeDefault", "Localhost"))
    if not pod_level and not containers:
        return None
    detail = f"{setters(pod_level, containers)} must not set {_SECCOMP_FIELD} to {quoted(sorted(values))}"
    return Broken("seccompProfile", detail, profile_places(_SECCOMP_FIELD, pod_level, containers))


def _seccomp_restricted(pod: Pod) -> Broken | None:
    if pod.windows:
        return None
    broken = _seccomp_baseline(pod)
    bad = [name_of(c) for c in pod.containers() if get(c, "securityContext", "seccompProfile") is None]
    if get(pod.spec, "securityContext", "seccompProfile") is not None:
        bad = []
    if not broken and not bad:
        return None
    detail = f'pod or {containers_named(bad)} must set {_SECCOMP_FIELD} to "RuntimeDefault" or "Localhost"'
    # Upstream speaks of the implicit ones only where there are no others; the places are all.
    places = [*(broken.places if broken else ()), *(Place(c, _SECCOMP_FIELD) for c in bad)]
    return Broken("seccompProfile", broken.detail if broken else detail, places)


CHECKS: tuple[Check, ...] = (
    Check("appArmorProfile", "baseline", 0, _app_armor),
    Check("capabilities_baseline", "baseline", 0, _capabilities_baseline),
    Check("privileged", "baseline", 0, _privileged),
    Check("seLinuxOptions", "baseline", 0, _se_linux),
    Check("seccompProfile_baseline", "baseline", 0, _seccomp_baseline),
    Check("allowPrivilegeEscalation", "restricted", 8, _privilege_escalation),
    Check("capabilities_restricted", "restricted", 22, _capabilities_restricted, "capabilities_baseline"),
    Check("runAsNonRoot", "restricted", 0, _non_root),
    Check("runAsUser", "restricted", 23, _root_user),
    Check("seccompProfile_restricted", "restricted", 19, _seccomp_restricted, "seccompProfile_baseline"),
)
