"""A value that cannot work is refused, by one message that names its key and never shows a template's inside.

The classes are those of real mistakes: shape, names and ranges, collisions, injection, contradictions.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from kubernetes.utils.quantity import parse_quantity

from scripts.chart import HELM3, HELM4, RenderError, render
from tests.render.bad_values import ALL, Bad

#: What a user must never see: the inside of a template.
TRACE = re.compile(
    r"nil pointer|error calling|error converting YAML|wrong type for value|can't evaluate field|<nil>|%!|"
    r"executing \"|unexpected EOF|panic|runtime error|json: cannot|error unmarshaling|no template"
)


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.what)
def test_is_refused(bad: Bad, helm: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(bad.values, helm=helm, **bad.options)  # type: ignore[arg-type]
    message = str(caught.value)
    # Helm 3.x writes /a/b as a.b in some versions.
    missing = [
        word for word in bad.says if word not in message and word.strip("/").replace("/", ".") not in message
    ]
    assert not missing, f"the message does not say {missing}: {message}"
    assert not TRACE.search(message), f"the message shows a template's inside: {message}"


#: From the smallest to the largest, with some that are equal.
QUANTITIES = (
    0, "1m", "100m", "0.1", "999m", "1000m", "1", 1, "1001m", "1.5", 2, "999", "1k", 1000, "1Ki", "999k",
    "1M", "1Mi", "1024Ki", "1048577", 1048577, "1.1Mi", "999M", "1G", "1023Mi", "1Gi", "1024Mi", 1073741824,
    1073741825, "1.5G", "1T", "1Ti", "1024Gi", "1P", "1Pi", "1E", "1Ei",
)  # fmt: skip


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_quantities_compare_as_kubernetes_has_them(helm: str) -> None:
    """Each with those near it, by the Kubernetes client's own reading: all of a kind in one render."""
    pairs = [
        (request, limit)
        for index, request in enumerate(QUANTITIES)
        for limit in QUANTITIES[max(0, index - 4) : index + 5]
    ]
    groups: dict[str, Any] = {
        f"g{number}": {
            "queues": ["q"],
            "mode": "kubernetes",
            "resources": {"requests": {"example.com/x": request}, "limits": {"example.com/x": limit}},
        }
        for number, (request, limit) in enumerate(pairs)
    }
    above = {
        f"g{number}"
        for number, (request, limit) in enumerate(pairs)
        if parse_quantity(request) > parse_quantity(limit)
    }
    assert 0 < len(above) < len(pairs)
    with pytest.raises(RenderError) as caught:
        render({"workers": groups}, helm=helm)
    assert set(re.findall(r"- workers\.(g\d+)\.resources\.requests", str(caught.value))) == above


def test_all_problems_in_one_message() -> None:
    values = {
        "workers": {"a": {"mode": "socket", "queues": ["a"]}, "b": {"mode": "dind"}},
        "ingress": {"enabled": True},
        "tasks": {"namespace": "default"},
    }
    with pytest.raises(RenderError) as caught:
        render(values)
    message = str(caught.value)
    for key in ("workers.a.socket.gid", "workers.b.queues", "ingress.host", "tasks.namespace"):
        assert message.count(f"- {key}") == 1, f"{key} is not named once: {message}"
    assert "4 problem(s)" in message


def test_all_schema_problems_in_one_message() -> None:
    with pytest.raises(RenderError) as caught:
        render({"workers": {"default": {"mode": "x", "replicas": -1}}, "ingres": {}})
    for key in ("/workers/default/mode", "/workers/default/replicas", "'ingres'"):
        assert key in str(caught.value)
