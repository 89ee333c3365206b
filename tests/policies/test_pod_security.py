"""The Pod Security check agrees with Kubernetes' own: on its fixtures, on cases they miss, on random pods."""

from __future__ import annotations

import importlib
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lint import pod_security
from scripts.lint.pod_security import NEWEST_MINOR, node, verdict
from tests.policies.oracles import Upstream, fixtures
from tests.policies.pod_security_cases import CASES, Case

LEVELS = ("baseline", "restricted")
#: Around every version at which a check changes.
MINORS = (0, 7, 8, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37)
VERSIONS = tuple(f"v1.{minor}" for minor in MINORS)
SCOPES = [(level, minor) for level in LEVELS for minor in range(NEWEST_MINOR + 1)]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    evaluator = Upstream()
    yield evaluator
    evaluator.close()


@cache
def _parse(text: str) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(text, Loader=loader))


def _pods(level: str, minor: int, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(check, pod) of upstream's fixtures; the file is named by the check in lower case, and a number."""
    for path in sorted((fixtures() / level / f"v1.{minor}" / kind).glob("*.yaml")):
        pod = _parse(path.read_text().replace(path.stem, "pod"))
        yield re.sub(r"\d+$", "", path.stem), pod


def _said(pod: Mapping[str, Any], level: Any, version: str) -> list[tuple[str, str]]:
    found = verdict(pod.get("metadata", {}), pod["spec"], level, version)
    return [(violation.reason, violation.detail) for violation in found]


def test_all_fixtures_are_there() -> None:
    assert sum(1 for _ in fixtures().rglob("*.yaml")) == 4537
    assert {path.name for path in (fixtures() / "restricted").iterdir()} == {
        f"v1.{minor}" for minor in range(NEWEST_MINOR + 1)
    }


@pytest.mark.parametrize(("level", "minor"), SCOPES, ids=[f"{level}-1.{minor}" for level, minor in SCOPES])
def test_fixtures(level: Any, minor: int, upstream: Upstream, record_fixtures: Any) -> None:
    version = f"v1.{minor}"
    count = 0
    for kind in ("pass", "fail"):
        for check, pod in _pods(level, minor, kind):
            found = verdict(pod["metadata"], pod["spec"], level, version)
            where = f"{kind}/{check} at {level} {version}: {pod}"
            assert bool(found) == (kind == "fail"), where
            if kind == "fail":
                assert _answers(check) & {violation.check.lower() for violation in found}, where
            pod = {"metadata": pod["metadata"], "spec": pod_security.with_defaults(pod["spec"])}
            assert _said(pod, level, version) == upstream.refusals(pod, [level], [version])[0][0], where
            count += 1
    assert count > 20
    record_fixtures(count)


def _answers(check: str) -> set[str]:
    """The checks that may answer a fixture: its own, or the one that stands in for it at restricted."""
    substitutes = {c.id.lower() for c in pod_security.CHECKS if (c.replaces or "").lower() == check}
    return {check, *substitutes}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_cases(case: Case, upstream: Upstream) -> None:
    """What the fixtures leave out, at every version, in upstream's words."""
    spec = pod_security.with_defaults(case.spec)
    expected = upstream.refusals({"metadata": case.metadata, "spec": spec}, LEVELS, VERSIONS)
    for level, answers in zip(LEVELS, expected, strict=True):
        for version, minor, answer in zip(VERSIONS, MINORS, answers, strict=True):
            assert _said(case.pod, level, version) == answer, f"{level} {version}"
            assert _refused(pod_security, case, level, minor) == case.refused(level, minor), (
                f"{version}: {answer}"
            )


def _refused(checker: Any, case: Case, level: str, minor: int) -> bool:
    found = {violation.check for violation in checker.verdict(case.metadata, case.spec, level, f"v1.{minor}")}
    return case.check in found if case.check else bool(found)


# Wrong checkers; many of them pass all of upstream's fixtures: (what is wrong, source, mutant).
MUTANTS = [
    ("ephemeral containers not looked at", ', "ephemeralContainers")', ")"),
    (
        "init containers not looked at",
        '("initContainers", "containers", "ephemeralContainers")',
        '("containers",)',
    ),
    (
        "AppArmor fields not looked at",
        'pod_level, containers, values = bad_profiles(pod, "appArmorProfile"',
        'pod_level, containers, values = False, [], set()\n    _ = (pod, "appArmorProfile"',
    ),
    ("AppArmor annotations not looked at", "if key.startswith(_APPARMOR_PREFIX)", "if False"),
    ("AppArmor: empty annotation refused", '("", "runtime/default")', '("runtime/default",)'),
    (
        "drop all in lower case accepted",
        'if "ALL" not in (get(c, "securityContext", "capabilities", "drop") or ())',
        'if "ALL" not in [x.upper() for x in get(c, "securityContext", "capabilities", "drop") or ()]',
    ),
    ("csi refused", '"csi",', ""),
    ("ephemeral volumes refused", '"ephemeral",', ""),
    ("image volumes refused", '"image",', ""),
    ("a volume without a source refused", 'volume["emptyDir"] = {}', "pass"),
    ("startup probes not looked at", '("readinessProbe",), ("startupProbe",)', '("readinessProbe",)'),
    (
        "preStop not looked at",
        '("lifecycle", "postStart"), ("lifecycle", "preStop")',
        '(("lifecycle", "postStart"),)',
    ),
    ("tcpSocket not looked at", '("httpGet", "tcpSocket")', '("httpGet",)'),
    ("probe hosts before 1.34", '"baseline", 34, _host_probes', '"baseline", 0, _host_probes'),
    ("probe hosts from 1.35", '"baseline", 34, _host_probes', '"baseline", 35, _host_probes'),
    (
        "sysctls of 1.27 at any version",
        '"net.ipv4.ip_local_reserved_ports": 27',
        '"net.ipv4.ip_local_reserved_ports": 0',
    ),
    (
        "sysctls of 1.29 at any version",
        '"net.ipv4.tcp_keepalive_time": 29',
        '"net.ipv4.tcp_keepalive_time": 0',
    ),
    ("sysctls of 1.32 at any version", '"net.ipv4.tcp_rmem": 32', '"net.ipv4.tcp_rmem": 0'),
    ("sysctls of 1.37 at any version", '"net.ipv4.tcp_notsent_lowat": 37', '"net.ipv4.tcp_notsent_lowat": 0'),
    ("Windows before 1.25", "self.minor >= 25", "self.minor >= 0"),
    (
        "Windows excuses runAsNonRoot",
        "def _non_root(pod: Pod) -> Broken | None:\n    if pod.user_namespace",
        "def _non_root(pod: Pod) -> Broken | None:\n    if pod.windows or pod.user_namespace",
    ),
    ("Windows does not excuse", 'get(self.spec, "os", "name") == "windows"', "False"),
    (
        "runAsNonRoot: false of the pod overridden by containers",
        "if not (pod_value is False or explicit or implicit):",
        "if not (explicit or implicit):",
    ),
    ("runAsNonRoot of the pod not inherited", "[] if pod_value else", ""),
    ("hostPort implied by hostNetwork not seen", 'if result.get("hostNetwork"):', "if False:"),
    (
        "hostPort implied in init containers not seen",
        'for kind in ("initContainers", "containers"):\n',
        'for kind in ("containers",):\n',
    ),
    ("user namespaces before 1.35", "self.minor >= 35", "self.minor >= 0"),
    ("user namespaces excuse nothing", 'self.spec.get("hostUsers") is False', "False"),
    (
        "user namespaces excuse privileged",
        "def _privileged(pod: Pod) -> Broken | None:\n",
        "def _privileged(pod: Pod) -> Broken | None:\n    if pod.user_namespace:\n        return None\n",
    ),
    (
        "user namespaces excuse procMount at restricted",
        '"restricted", 35, _proc_mount,',
        '"restricted", 35, _proc_mount_baseline,',
    ),
    ("hostUsers: true excuses", 'get("hostUsers") is False', 'get("hostUsers") is not None'),
    ("container_engine_t before 1.31", "pod.minor >= 31", "pod.minor >= 0"),
    ("container_engine_t never", "pod.minor >= 31", "False"),
    (
        "SELinux role not looked at",
        'for key in ("user", "role") if options',
        'for key in ("user",) if options',
    ),
    ("SELinux of the pod not looked at", "pod_level = bad(pod.spec, None)", "pod_level = False"),
    ("seccomp annotations from 1.19", "if pod.minor < 19:", "if True:"),
    ("seccomp annotations never", "if pod.minor < 19:", "if False:"),
    (
        "seccomp of a container's annotation not looked at",
        "*(_SECCOMP_CONTAINER + name_of(c) for c in pod.containers())",
        "",
    ),
    ("seccomp at restricted from 1.20", '"restricted", 19, _seccomp', '"restricted", 20, _seccomp'),
    ("root uid from 1.0", '"restricted", 23, _root_user', '"restricted", 0, _root_user'),
    ("root uid of the pod not looked at", "setters(root(pod.spec), bad)", "setters(False, bad)"),
    ("privilege escalation from 1.0", '"restricted", 8, _privilege', '"restricted", 0, _privilege'),
    ("drop ALL from 1.0", '"restricted", 22, _capabilities', '"restricted", 0, _capabilities'),
    ("hostProcess of the pod not looked at", "setters(host(pod.spec), bad)", "setters(False, bad)"),
    ("hostIPC not looked at", '("hostNetwork", "hostPID", "hostIPC")', '("hostNetwork", "hostPID")'),
    ("hostPath type of volume at restricted only", 'if volume.get("hostPath") is not None', "if False"),
    (
        "empty profile types accepted",
        'str(get(profile, "type") or "")) in allowed',
        'str(get(profile, "type") or allowed[0])) in allowed',
    ),
    (
        "NET_BIND_SERVICE refused",
        '_added_capabilities(pod, ["NET_BIND_SERVICE"])',
        "_added_capabilities(pod, [])",
    ),
    (
        "CAP_ prefix stripped",
        'set(get(container, "securityContext", "capabilities", "add") or ())',
        '{x.removeprefix(\'CAP_\') for x in get(container, "securityContext", "capabilities", "add") or ()}',
    ),
]


@pytest.mark.parametrize(
    ("source", "mutant"), [entry[1:] for entry in MUTANTS], ids=[entry[0] for entry in MUTANTS]
)
def test_a_wrong_checker_is_caught(source: str, mutant: str, tmp_path: Path) -> None:
    """The cases alone, without upstream, tell the checker from each of its mutants."""
    wrong = _mutated(source, mutant, tmp_path)
    assert any(
        _refused(wrong, case, level, minor) != case.refused(level, minor)
        # The newest version first: there most of them differ.
        for minor in reversed(MINORS)
        for level in LEVELS
        for case in CASES
    )


def _mutated(source: str, mutant: str, folder: Path) -> Any:
    """A copy of the package with one text replaced, which must be in one of its files."""
    name = f"wrong_{secrets.token_hex(8)}"
    package = Path(str(pod_security.__file__)).parent
    texts = {file.name: file.read_text() for file in package.glob("*.py")}
    assert sum(source in text for text in texts.values()) == 1, "the mutant no longer fits the source"
    (folder / name).mkdir()
    for file, text in texts.items():
        (folder / name / file).write_text(text.replace(source, mutant).replace(pod_security.__name__, name))
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]


def test_versions() -> None:
    minor_of = pod_security.minor_of
    assert [minor_of(text) for text in ("latest", "v1.30", "1.7", "v1.99")] == [
        NEWEST_MINOR,
        30,
        7,
        NEWEST_MINOR,
    ]
    for bad in ("v2.0", "1", "newest", ""):
        with pytest.raises(ValueError, match="no Pod Security version"):
            minor_of(bad)


def test_privileged_refuses_nothing() -> None:
    assert (
        verdict(
            {}, {"hostPID": True, "containers": [{"securityContext": {"privileged": True}}]}, "privileged"
        )
        == []
    )


def test_places_name_container_and_field() -> None:
    spec = {
        "hostPID": True,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {"name": "a", "securityContext": {"privileged": True, "capabilities": {"drop": ["ALL"]}}}
        ],
    }
    places = {
        (violation.check, place.container, place.field)
        for violation in verdict({}, spec, "restricted")
        for place in violation.places
    }
    assert places == {
        ("hostNamespaces", None, "spec.hostPID"),
        ("privileged", "a", "securityContext.privileged"),
        ("allowPrivilegeEscalation", "a", "securityContext.allowPrivilegeEscalation"),
    }


def _optional(**fields: Any) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


PROFILE = st.one_of(
    st.none(),
    _optional(type=st.sampled_from(["RuntimeDefault", "Localhost", "Unconfined", "Other", ""])),
)
CAPABILITIES = st.lists(
    st.sampled_from(["ALL", "all", "NET_BIND_SERVICE", "CHOWN", "NET_RAW", "SYS_ADMIN", "CAP_CHOWN"]),
    max_size=2,
)
SECURITY: dict[str, Any] = {
    "runAsNonRoot": st.sampled_from([None, True, False]),
    "runAsUser": st.sampled_from([None, 0, 1000]),
    "seccompProfile": PROFILE,
    "appArmorProfile": PROFILE,
    "windowsOptions": _optional(hostProcess=st.booleans()),
    "seLinuxOptions": _optional(
        type=st.sampled_from(["", "container_t", "container_engine_t", "spc_t"]),
        user=st.sampled_from(["", "u"]),
        role=st.sampled_from(["", "r"]),
    ),
}
ACTION = _optional(
    httpGet=_optional(host=st.sampled_from(["", "h1"]), port=st.just(80)),
    tcpSocket=_optional(host=st.sampled_from(["", "h2"]), port=st.just(80)),
    exec=st.just({"command": ["true"]}),
)
CONTAINER = _optional(
    securityContext=_optional(
        **SECURITY,
        privileged=st.booleans(),
        allowPrivilegeEscalation=st.booleans(),
        procMount=st.sampled_from(["Default", "Unmasked", ""]),
        capabilities=_optional(add=CAPABILITIES, drop=CAPABILITIES),
    ),
    ports=st.lists(_optional(containerPort=st.just(80), hostPort=st.sampled_from([0, 8080, 9])), max_size=2),
    livenessProbe=ACTION,
    readinessProbe=ACTION,
    startupProbe=ACTION,
    lifecycle=_optional(preStop=ACTION, postStart=ACTION),
)
VOLUMES: Any = st.lists(
    st.sampled_from([*node._ALLOWED_VOLUMES, *node._FORBIDDEN_VOLUMES, ""]).map(
        lambda kind: {kind: {}} if kind else {}
    ),
    max_size=3,
)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            "seccomp.security.alpha.kubernetes.io/pod",
            "container.seccomp.security.alpha.kubernetes.io/containers0",
            "container.seccomp.security.alpha.kubernetes.io/other",
            "container.apparmor.security.beta.kubernetes.io/containers0",
            "container.apparmor.security.beta.kubernetes.io/initContainers0",
        ]
    ),
    st.sampled_from(["", "runtime/default", "docker/default", "localhost/x", "unconfined"]),
    max_size=3,
)
SPEC = _optional(
    hostPID=st.booleans(),
    hostIPC=st.booleans(),
    hostNetwork=st.booleans(),
    hostUsers=st.booleans(),
    os=st.sampled_from([{"name": "linux"}, {"name": "windows"}]),
    securityContext=_optional(
        **SECURITY,
        sysctls=st.lists(
            st.sampled_from([*node._SYSCTLS, "kernel.msgmax"]).map(lambda name: {"name": name, "value": "1"}),
            max_size=3,
        ),
    ),
    volumes=VOLUMES,
    containers=st.lists(CONTAINER, max_size=2),
    initContainers=st.lists(CONTAINER, max_size=2),
    ephemeralContainers=st.lists(CONTAINER, max_size=1),
)


@settings(max_examples=400)
@given(spec=SPEC, annotations=ANNOTATIONS)
def test_random_pods(spec: dict[str, Any], annotations: dict[str, str], upstream: Upstream) -> None:
    for kind in ("volumes", "containers", "initContainers", "ephemeralContainers"):
        for number, entry in enumerate(spec.get(kind, ())):
            entry["name"] = f"{kind}{number}"
    pod = {"metadata": {"annotations": annotations}, "spec": spec}
    defaulted = {"metadata": pod["metadata"], "spec": pod_security.with_defaults(spec)}
    answers = upstream.refusals(defaulted, LEVELS, VERSIONS)
    for level, row in zip(LEVELS, answers, strict=True):
        assert [_said(pod, level, version) for version in VERSIONS] == row
