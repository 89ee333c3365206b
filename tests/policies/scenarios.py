"""The scenarios of tests/render, and those that only matter to policies."""

from __future__ import annotations

from tests.render.scenarios import SCENARIOS, Scenario
from tests.render.values import DIND, MODES, overlaid

#: What no policy accepts: test_lint.py says what it finds there.
REFUSED = "raw-socket"
ALL: tuple[Scenario, ...] = (
    *(scenario for scenario in SCENARIOS if scenario.name != REFUSED),
    Scenario(
        "dind-user-namespace",
        overlaid(DIND, {"workers": {"docker": {"dind": {"variant": "userNamespace"}}}}),
    ),
    Scenario("gateway-alone", overlaid(MODES, {"workers": {"default": {"kubernetesOperators": False}}})),
)
BY_NAME = {scenario.name: scenario for scenario in ALL}
