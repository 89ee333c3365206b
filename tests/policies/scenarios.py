"""The scenarios of tests/render, and those that only matter to policies."""

from __future__ import annotations

from tests.render.scenarios import DIND, MODES, SCENARIOS, Scenario, overlaid

GATEWAY = {"dockerGateway": {"enabled": True}}

ALL: tuple[Scenario, ...] = (
    *SCENARIOS,
    Scenario(
        "dind-user-namespace",
        overlaid(DIND, {"workers": {"docker": {"dind": {"variant": "userNamespace"}}}}),
    ),
    Scenario("gateway", overlaid(MODES, {"workers": {"default": GATEWAY}})),
    Scenario(
        "gateway-alone",
        overlaid(MODES, {"workers": {"default": {**GATEWAY, "kubernetesOperators": False}}}),
    ),
)
BY_NAME = {scenario.name: scenario for scenario in ALL}
