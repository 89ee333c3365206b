"""Where DAG files come from, and where logs go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scripts.from_official.result import Result
from scripts.from_official.source import Source, listed, sets, templated

GIT = "dags.git.dags"


def sources(source: Source, result: Result) -> None:
    """Git, a volume, bundles."""
    path = source.take("dags", "mountPath")
    if path and not templated(path):
        result.put("dags.path", path, ("dags", "mountPath"))
    elif path:
        result.decide("dags.mountPath: has Helm templates. Set `dags.path`.")
    if source.look("dags", "gitSync", "enabled"):
        _git(source, result)
    source.take("dags", "gitSync")
    claim = source.block("dags", "persistence")
    if claim.get("enabled") and not source.look("dags", "gitSync", "enabled"):
        if claim.get("existingClaim"):
            volume = {"persistentVolumeClaim": {"claimName": claim["existingClaim"]}}
            result.put("dags.volume", volume, ("dags", "persistence", "existingClaim"))
        else:
            text = (
                "dags.persistence: the claim is the official chart's and goes with its release. Create "
                "one, and name "
                "it in `dags.volume`: {persistentVolumeClaim: {claimName: ...}}."
            )
            result.decide(text)
        if claim.get("subPath"):
            result.decide(
                "dags.persistence.subPath: set `dags.path` to the directory of the DAG files in the volume."
            )
    source.take("dags", "persistence")
    _bundles(source, result)


def _git(source: Source, result: Result) -> None:
    """git-sync to a repository of dags.git, with the Secrets that it has."""
    git = source.block("dags", "gitSync")
    origin = ("dags", "gitSync", "repo")
    url = str(git.get("repo") or "")
    ssh = url.startswith("ssh://") or not re.match(r"[a-z0-9+]+://", url)
    if templated(url) or not (ssh or url.startswith("https://")):
        result.decide(
            f"dags.gitSync.repo: {url} is no URL of https or ssh. Set `{GIT}.repository`, and how to log in."
        )
        return
    reference = str(git.get("ref") or git.get("branch") or "main")
    for key in ("rev", "branch"):
        value = git.get(key)
        if value and value != "HEAD" and git.get("ref") and value != git["ref"]:
            result.decide(
                f"dags.gitSync.{key}: is {value}, and dags.gitSync.ref is {git['ref']}; the bundle "
                f"follows it."
            )
    found: dict[str, Any] = {"repository": url, "ref": reference}
    if str(git.get("subPath") or "").strip("/"):
        found["subdir"] = str(git["subPath"]).strip("/")
    seconds = re.fullmatch(r"(\d+)s?", str(git.get("wait") or git.get("period") or ""))
    if seconds:
        found["refreshSeconds"] = max(int(seconds[1]), 30)
    found |= _ssh(git, result) if ssh else _token(git, result)
    result.put(GIT, found, origin)
    result.decide(
        "dags.gitSync: the image in `images.airflow` must have the git program and "
        "apache-airflow-providers-git. Create the Secrets in each namespace of workers, too."
    )


def _ssh(git: Mapping[str, Any], result: Result) -> dict[str, Any]:
    """The key and the host's keys."""
    secret = git.get("sshKeySecret")
    if secret:
        found: dict[str, Any] = {"sshKeySecret": secret, "keys": {"sshKey": "gitSshKey"}}
        result.secrets.append(f"{secret}, key gitSshKey: `{GIT}.sshKeySecret`")
    else:
        found = {"sshKeySecret": "git-ssh-key"}
        command = "kubectl create secret generic git-ssh-key --from-file=ssh-privatekey=FILE"
        result.decide(f"dags.gitSync.sshKey: keys are in Secrets only. Create it: {command}")
    if git.get("knownHosts"):
        return {**found, "knownHosts": git["knownHosts"]}
    result.decide(
        f"dags.gitSync.knownHosts: is empty, and git-sync accepted any server. So does "
        f"`{GIT}.acceptAnyHostKey`. Remove it, and set `{GIT}.knownHosts` (docs/git-dags.md)."
    )
    return {**found, "acceptAnyHostKey": True}


def _token(git: Mapping[str, Any], result: Result) -> dict[str, Any]:
    """User name and token."""
    secret = git.get("credentialsSecret")
    if not secret:
        return {}
    result.secrets.append(f"{secret}, keys GITSYNC_USERNAME and GITSYNC_PASSWORD: `{GIT}.tokenSecret`")
    return {"tokenSecret": secret, "keys": {"username": "GITSYNC_USERNAME", "token": "GITSYNC_PASSWORD"}}


def _bundles(source: Source, result: Result) -> None:
    """`dagProcessor.dagBundleConfigList`, but for the official chart's default."""
    given = listed(source.take("dagProcessor", "dagBundleConfigList"))
    if given is None:
        text = "dagProcessor.dagBundleConfigList: is no list, or has templates. Write it to `dags.bundles`."
        result.decide(text)
        return
    bundles = [
        {key: value for key, value in each.items() if key in ("name", "classpath", "kwargs")}
        for each in given
        if each.get("name") != "dags-folder" or each.get("kwargs")
    ]
    if bundles and not result.get("dags.bundles"):
        result.put("dags.bundles", bundles, ("dagProcessor", "dagBundleConfigList"))


def logs(source: Source, result: Result) -> None:
    """The claim, remote logging, and how long files stay."""
    claim = source.block("logs", "persistence")
    path = ("logs", "persistence")
    if claim.get("enabled"):
        if claim.get("existingClaim"):
            result.put("logs.claim.existingClaim", claim["existingClaim"], (*path, "existingClaim"))
        elif "Kubernetes" in str(result.get("executor")):
            result.decide(
                "logs.persistence: pods of KubernetesExecutor run in another namespace. Create a claim of "
                "the same files there and here, and set `logs.claim.existingClaim`; or set "
                "`logs.remote.baseLogFolder`."
            )
        else:
            for key in ("size", "storageClassName"):
                if claim.get(key):
                    result.put(f"logs.claim.{key}", claim[key], (*path, key))
        if claim.get("subPath"):
            result.dropped.append("logs.persistence.subPath: logs are at the root of the volume.")
    source.take(*path)
    size = source.take("logs", "emptyDirConfig", "sizeLimit")
    if size:
        result.put("logs.sizeLimit", size, ("logs", "emptyDirConfig"))
    source.take("logs", "emptyDirConfig")
    folder = source.look("config", "logging", "remote_base_log_folder")
    if folder and not templated(folder):
        result.put("logs.remote.baseLogFolder", folder, ("config", "logging", "remote_base_log_folder"))
        connection = source.look("config", "logging", "remote_log_conn_id")
        if connection:
            result.put("logs.remote.connectionId", connection, ("config", "logging", "remote_log_conn_id"))
    for option in ("remote_logging", "remote_base_log_folder", "remote_log_conn_id"):
        source.take("config", "logging", option)
    groomers = [
        (*place, "logGroomerSidecar")
        for place in (("workers", "celery"), ("workers",), ("scheduler",), ("triggerer",), ("dagProcessor",))
        if sets(source.look(*place)) and source.look(*place, "logGroomerSidecar") is not None
    ]
    days = [source.look(*place, "retentionDays") for place in groomers]
    first = next((day for day in days if day), None)
    if groomers and all(source.look(*place, "enabled") is False for place in groomers):
        result.put("logs.retention.enabled", False)
    elif first:
        result.put("logs.retention.days", int(first))
    for place in groomers:
        source.take(*place)
