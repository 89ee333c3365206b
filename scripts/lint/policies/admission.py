"""Policies for what an admission policy leaves out: requests that it does not see, lists that admit all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from scripts.chart import Manifest
from scripts.lint.model import Found, Policy, cis

_KIND = "ValidatingAdmissionPolicy"
#: Groups with members whom nobody chose one by one, and the account that creates the pods of every Job.
_EVERYBODY = re.compile(
    r"system:(masters|authenticated|unauthenticated|anonymous|serviceaccounts(:[^:]+)?|kube-controller-manager"
    r"|serviceaccount:kube-system:job-controller)"
)
#: Variable of the fence -> the value with its list. tasks.admission.images is not among them: by default any
#: image is admitted.
LISTS = {
    "serviceAccount": "serviceAccounts",
    "token": "tokenAudiences",
    "secrets": "secrets",
    "configMaps": "configMaps",
    "persistentVolumeClaims": "persistentVolumeClaims",
    "storageClasses": "storageClasses",
    "imagePullSecrets": "imagePullSecrets",
    "priorityClass": "priorityClasses",
    "runtimeClass": "runtimeClasses",
    "scheduler": "schedulers",
    "resourceClaims": "resourceClaims",
    "profiles": "localhostProfiles",
    "labels": "labels",
    "annotations": "annotations",
}
#: What the chart renders for "*" in a list.
_ANY = re.compile(r'(?<![\w"])true(?![\w"])')


def _exemptions(manifest: Manifest) -> Iterator[Found]:
    conditions = manifest.get("spec", "matchConditions", default=[]) if manifest.kind == _KIND else []
    for number, condition in enumerate(conditions or ()):
        for text in re.findall(r'"(?:[^"\\]|\\.)*"', str(condition.get("expression", ""))):
            name = json.loads(text)
            if _EVERYBODY.fullmatch(name):
                yield Found(f"spec.matchConditions[{number}]", f"the policy does not apply to {name}")


def _lists(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind != _KIND or manifest.component != "tasks":
        return
    for variable in manifest.get("spec", "variables", default=[]) or ():
        key = LISTS.get(variable.get("name"))
        if key and _ANY.search(str(variable.get("expression", ""))):
            yield Found(f"spec.variables[{variable['name']}]", f"tasks.admission.{key} admits everything")
    for number, validation in enumerate(manifest.get("spec", "validations", default=[]) or ()):
        if "container" in (text := str(validation.get("expression", ""))) and _ANY.search(text):
            yield Found(f"spec.validations[{number}]", "tasks.admission.execContainers admits everything")


POLICIES: tuple[Policy, ...] = (
    Policy(
        "admission-exemptions",
        "Admission policies exempt only users and groups that somebody chose",
        "high",
        "Members of built-in groups, such as administrators and all service accounts, create pods that the "
        "policy does not check, and controllers create pods from what DAG authors wrote.",
        "Name single users in tasks.admission.exemptUsers, or a group of your identity provider in "
        "tasks.admission.exemptGroups.",
        (cis("5.2.1"),),
        check_object=_exemptions,
    ),
    Policy(
        "admission-lists",
        "Lists of the admission policy name what pods may use",
        "medium",
        'With "*" in a list, every DAG author can use all objects of that kind in the task namespace, also '
        "those that are created later.",
        "List the names that DAGs use.",
        check_object=_lists,
    ),
)
