"""Each command of the installed program gives what the clone's gives, and says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from scripts import tools
from scripts.chart import HELM3, HELM4, ROOT, render, versions
from scripts.from_official.convert import convert
from scripts.lint import command as lint
from scripts.mirror.needed import needed
from tests.cli.conftest import Airdock
from tests.from_official import files

WEAK = {"ingress": {"enabled": True, "host": "airflow.example.com"}}
TYPO = "workers: {default: {mod: dind}}\n"
NO_KUBECTL = "kubectl 1.30 or later is needed, and it is not on PATH. Install it: "
NO_HELM = "helm 3 or later is needed, and it is not on PATH. Install it: https://helm.sh/docs/intro/install\n"


def write(folder: Path, name: str, content: object) -> str:
    (folder / name).write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return name


def test_help_and_version(airdock: Airdock) -> None:
    done = airdock("--version")
    assert (done.code, done.out) == (0, f"airdock {versions.CHART} (Airflow {versions.AIRFLOW})\n")
    bare = airdock()
    assert bare.code == 2
    assert "from-official" in bare.err
    for command in ("lint", "from-official", "overlays", "images", "check"):
        done = airdock(command, "--help")
        assert done.code == 0
        assert done.out.startswith(f"usage: airdock {command} ")
        assert "scripts" not in done.out, "a module of the clone"
    wrong = airdock("lnt")
    assert wrong.code == 2
    assert "invalid choice: 'lnt'" in wrong.err


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_lint(
    helm: str,
    airdock: Airdock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With Helm 4 and 3, the same words as in the clone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    file = write(tmp_path, "my.yaml", WEAK)
    path = {"helm": tools.path(helm)}
    assert lint.main(["-f", file]) == 1
    told = capsys.readouterr().out
    done = airdock("lint", "-f", file, path=path)
    assert (done.code, done.out, done.err) == (1, told, "")
    fixed = write(tmp_path, "more.yaml", {"ingress": {"tlsSecretName": "tls"}})
    assert airdock("lint", "-f", file, "-f", fixed, path=path).code == 0


def test_lint_reports_to_a_file(airdock: Airdock, tmp_path: Path) -> None:
    entry = {"policy": "ingress-tls", "object": "Ingress airdock/airdock-api-server", "reason": "Balancer."}
    file = write(tmp_path, "my.yaml", WEAK)
    accepted = write(tmp_path, "accepted.yaml", [{**entry, "until": "2020-01-31"}])
    given = ["lint", "-f", file, "--accepted", accepted, "--format", "sarif", "--output", "lint.sarif"]
    done = airdock(*given)
    assert done.code == 1
    assert "Accepted until 2020-01-31, which has passed. The reason was: Balancer." in done.out
    (run,) = json.loads((tmp_path / "lint.sarif").read_text())["runs"]
    assert [each["ruleId"] for each in run["results"] if "suppressions" not in each] == ["ingress-tls"]
    write(tmp_path, "accepted.yaml", [entry])
    done = airdock(*given)
    assert done.code == 0
    assert "ingress-tls, 1 place: Balancer." in done.out


def test_lint_of_manifests(airdock: Airdock, tmp_path: Path) -> None:
    """Of any program, from a pipe and from files, without Helm."""
    assert airdock("lint", "-", stdin=render({}).text, path={}).code == 0
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"hostPID": True, "hostIpc": 1},
    }
    done = airdock("lint", write(tmp_path, "pod.yaml", pod), path={})
    assert done.code == 1
    assert "Pod a: spec: additional properties 'hostIpc' not allowed" in done.out
    assert "host-namespaces" in done.out


def test_typos_and_what_is_missing(airdock: Airdock, tmp_path: Path) -> None:
    """One sentence each, and exit code 2."""
    typo = write(tmp_path, "typo.yaml", TYPO)
    for arguments, path, said in (
        (["lint", "-f", typo], None, "lint: values don't meet the specifications"),
        (["images", "-f", typo], None, "images: values don't meet the specifications"),
        (["lint", "-f", "missing.yaml"], None, "lint: missing.yaml cannot be read: No such file"),
        (["from-official", "missing.yaml"], None, "from-official: missing.yaml: "),
        (["overlays", "check", "."], None, "overlays: . has no kustomization.yaml."),
        (["lint"], {}, f"lint: {NO_HELM}"),
        (["images"], {}, f"images: {NO_HELM}"),
    ):
        done = airdock(*arguments, path=path)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert done.err.startswith(said)
    assert "additional properties 'mod' not allowed" in airdock("lint", "-f", typo).err


def test_an_old_helm_is_named(airdock: Airdock, tmp_path: Path) -> None:
    old = tmp_path / "old-helm"
    old.write_text("#!/bin/sh\necho 'Client: v2.17.0+ga690bad'\n")
    old.chmod(0o755)
    done = airdock("lint", path={"helm": old, "sh": Path("/bin/sh")})
    assert done.code == 2
    assert "lint: helm 3 or later is needed, and " in done.err
    assert "/helm is older, or does not run. Install it: " in done.err


def test_from_official(airdock: Airdock, tmp_path: Path) -> None:
    file = write(tmp_path, "values.yaml", files.CELERY)
    done = airdock("from-official", file)
    assert (done.code, done.out) == (0, convert(files.CELERY).text())
    assert "Needs a decision:" in done.err
    assert airdock("from-official", "-", stdin=files.CELERY).out == done.out
    without = airdock("from-official", file, path={})
    assert (without.code, without.out) == (0, done.out)
    assert f"The values were not checked, because Helm is missing: {NO_HELM}" in without.err


def test_images(airdock: Airdock, tmp_path: Path) -> None:
    values = {"images": {"registry": "registry.example.com/mirror"}}
    done = airdock("images", "-f", write(tmp_path, "my.yaml", values))
    assert (done.code, done.out.split()) == (0, [image.name for image in needed(render(values))])
    done = airdock("images", "--to", "registry.example.com")
    assert done.code == 1
    assert "images: crane 0.20 or later is needed, and it is not on PATH. Install it: https://" in done.err


def test_overlays_check(airdock: Airdock, tmp_path: Path) -> None:
    kubectl = {"kubectl": tools.path("kubectl")}
    done = airdock("overlays", "check", ROOT / "examples" / "kustomize", path=kubectl)
    assert (done.code, done.out, done.err) == (0, "", "")
    mine = tmp_path / "mine"
    mine.mkdir()
    base = "../" * len(tmp_path.parts) + str((ROOT / "overlays" / "kubernetes").relative_to("/"))
    write(
        mine,
        "kustomization.yaml",
        {"resources": [base], "images": [{"name": "apache/airflw", "newTag": "x"}]},
    )
    done = airdock("overlays", "check", "mine", path=kubectl)
    assert done.code == 1
    assert "images has an entry without effect, apache/airflw: look for a typo." in done.out
    done = airdock("overlays", "check", "mine", path={})
    assert done.code == 2
    assert done.err.startswith(
        "overlays: kubectl 1.30 or later is needed, and it is not on PATH. Install it: "
    )


def test_check_without_a_cluster(airdock: Airdock, tmp_path: Path) -> None:
    """One sentence each, and exit code 2; with a cluster it runs in tests/api and tests/e2e."""
    kubectl = {"kubectl": tools.path("kubectl")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
    }
    file = write(tmp_path, "kubeconfig", config)
    for arguments, path, said in (
        ([], {}, NO_KUBECTL),
        (["-f", "missing.yaml"], kubectl, "missing.yaml cannot be read: No such file"),
        (["--kubeconfig", file], kubectl, "The connection to the server 127.0.0.1:1 was refused"),
        (["--kubeconfig", file, "--context", "b"], kubectl, 'context "b" does not exist'),
    ):
        done = airdock("check", *arguments, path=path)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert done.err.startswith("check: ")
        assert said in done.err
