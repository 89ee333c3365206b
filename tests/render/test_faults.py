"""Every contract bites: each is shown manifests with the fault that it is for."""

from __future__ import annotations

import pytest

from scripts.chart import Manifests
from tests.render.contracts import CONTRACTS
from tests.render.contracts.volumes import file_paths
from tests.render.faults import FAULTS, Fault
from tests.render.scenarios import BY_NAME


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.contract}: {fault.what}")
def test_contract_names_the_fault(fault: Fault) -> None:
    scenario = BY_NAME[fault.scenario]
    objects = scenario.render().changed()
    (hit,) = [
        raw for _, raw in objects if raw["kind"] == fault.kind and raw["metadata"]["name"] == fault.name
    ]
    fault.change(hit)
    found = list(CONTRACTS[fault.contract](Manifests.of(objects), scenario))
    assert any(fault.says in sentence for sentence in found), (
        f"the contract {fault.contract} does not say {fault.says!r} about {fault.what}; it says: {found}"
    )


def test_every_contract_has_a_fault() -> None:
    assert {fault.contract for fault in FAULTS} == set(CONTRACTS)


def test_words_of_shells_and_urls_are_no_file_paths() -> None:
    text = (
        "DOCKER_HOST=unix:///run/a.sock http://host:80/x/ --dir=/data,/more 'mkdir -p \"/x y\"' a/b 1/2 //c"
    )
    assert list(file_paths(text)) == ["/run/a.sock", "/data", "/more", "/x"]
    assert not list(file_paths("postgresql://u@host:5432/db redis://host:6379/0"))
