"""workers.<name>.dind.daemon: the chart's list of daemon.json's options is the one of the real daemon."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART, ROOT, RenderError, load_yaml
from tests.render.named_keys import exists
from tests.render.test_dind import container, env, spec

TOOLS = ROOT / ".tools/bin"
OPTIONS: dict[str, Any] = load_yaml((CHART / "files/dind/daemon-options.yaml").read_text(), "options")[0]
KNOWN = OPTIONS["allowed"] | OPTIONS["values"] | OPTIONS["rejected"]
#: Flags that are no options of the file, though dockerd takes them for some.
ONLY_FLAGS = {"add-runtime", "config-file", "help", "validate", "version"}
#: A value of each option that is allowed.
SAMPLES: dict[str, Any] = {
    "bip6": "fd00:7::1/64",
    "builder": {"gc": {"enabled": True}, "entitlements": {"security-insecure": False}},
    "cdi-spec-dirs": ["/etc/cdi"],
    "debug": True,
    "default-ipc-mode": "shareable",
    "default-runtime": "other",
    "default-shm-size": "128M",
    "default-stop-timeout": 5,
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 100, "Hard": 200}},
    "dns": ["10.0.0.53"],
    "dns-opts": ["ndots:2"],
    "dns-search": ["example.com"],
    "experimental": True,
    "features": {"containerd-snapshotter": False},
    "fixed-cidr": "172.17.0.0/24",
    "fixed-cidr-v6": "fd00:7::/64",
    "host-gateway-ips": ["10.0.0.1"],
    "icc": False,
    "init": False,
    "ip": "127.0.0.1",
    "ipv6": True,
    "labels": ["team=$(HOSTNAME)"],
    "log-driver": "local",
    "log-format": "json",
    "log-level": "warn",
    "log-opts": {"max-size": "10m", "max-file": 3, "tag": "$(HOSTNAME)"},
    "max-concurrent-downloads": 6,
    "max-concurrent-uploads": 6,
    "max-download-attempts": 6,
    "no-new-privileges": True,
    "raw-logs": True,
    "runtimes": {"other": {"path": "/usr/bin/other"}},
    "storage-driver": "overlay2",
    "storage-opts": ["overlay2.size=1G"],
    "userland-proxy": False,
}


def dockerd(options: dict[str, Any], directory: Path, *flags: str, **variables: str) -> str:
    """What the real daemon says about a daemon.json; it starts nothing."""
    file = directory / "daemon.json"
    file.write_text(json.dumps(options))
    path = {"PATH": f"{TOOLS}:{os.environ['PATH']}"}
    command = [TOOLS / "dockerd", "--validate", f"--config-file={file}", *flags]
    found = subprocess.run(command, capture_output=True, text=True, env=path | variables, timeout=60)
    return str(found.stdout + found.stderr)


def unknown(options: set[str], directory: Path) -> set[str]:
    """Those that the daemon does not know."""
    said = dockerd(dict.fromkeys(options, ""), directory)
    _, _, names = said.partition("don't match any configuration option: ")
    return set(names.strip().split(", ")) - {""}


def problems(options: dict[str, Any]) -> dict[str, str]:
    """What the chart says about each option."""
    with pytest.raises(RenderError) as caught:
        spec({"daemon": options})
    return dict(re.findall(r"- workers\.docker\.dind\.daemon\.([a-z0-9-]+): (.*)", str(caught.value)))


def test_every_option_of_the_daemon_is_on_the_list(tmp_path: Path) -> None:
    """By the daemon's flags, whose options may have the plural's name: a new option fails here."""
    said = subprocess.run([TOOLS / "dockerd", "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"(?m)^ {2,6}(?:-\w, )?--([a-z0-9-]+)", said))
    assert len(flags) > 80
    candidates = flags | {f"{flag}s" for flag in flags} | {f"{flag[:-1]}ies" for flag in flags}
    options = candidates - unknown(candidates | {"no-such-option"}, tmp_path) - ONLY_FLAGS
    # A flag that may be given repeatedly has the plural's option, and dockerd knows the flag's name too.
    options -= {flag for flag in flags if {f"{flag}s", f"{flag[:-1]}ies"} & options} - set(KNOWN)
    assert options <= set(KNOWN), f"say in files/dind/daemon-options.yaml what to do: {options - set(KNOWN)}"


def test_the_list_has_no_other_option(tmp_path: Path) -> None:
    """dockerd takes the keys within a map, such as `proxies`, for those beside it."""
    assert unknown({*KNOWN, "no-such-option"}, tmp_path) == {"no-such-option", "proxies"}
    assert dockerd({"proxies": {"http-proxy": "http://a:1"}}, tmp_path).endswith("configuration OK\n")
    lists = [set(OPTIONS[name]) for name in ("allowed", "values", "rejected")]
    assert sum(map(len, lists)) == len(KNOWN), "an option is on one of the lists only"


def test_the_daemon_takes_what_the_chart_allows(tmp_path: Path) -> None:
    """All at once, beside the chart's flags; and the kubelet, which expands $(NAME), changes nothing."""
    assert set(SAMPLES) == set(OPTIONS["allowed"])
    pod = spec({"daemon": SAMPLES, "registryMirrors": ["https://mirror.example.com"]})
    options = json.loads(str(env(pod, "docker")["AIRDOCK_DAEMON_CONFIG"]).replace("$$", "$"))
    assert options == {name: value for name, value in SAMPLES.items() if name not in ("init", "log-opts")}
    flags = [word.replace("$$", "$") for word in container(pod, "docker")["command"] if word.startswith("--")]
    assert [flag for flag in flags if flag.startswith("--log-opt")] == [
        "--log-opt=max-file=3",
        "--log-opt=max-size=10m",
        "--log-opt=tag=$(HOSTNAME)",
    ]
    start = ["--data-root=/x", "--mtu=1400", "--exec-opt=native.cgroupdriver=cgroupfs", "--group=2375"]
    assert dockerd(options, tmp_path, *flags, *start).endswith("configuration OK\n")
    said = dockerd({**options, "shutdown-timeout": 5}, tmp_path, *flags)
    assert "both as a flag and in the configuration file: shutdown-timeout" in said, "it would not start"


@pytest.mark.parametrize(("daemon", "has"), [({}, True), ({"init": None}, True), ({"init": True}, True),
                                             ({"init": False}, False)])  # fmt: skip
def test_containers_have_an_init_unless_the_value_is_false(daemon: dict[str, Any], has: bool) -> None:
    pod = spec({"daemon": daemon})
    assert ("--init" in container(pod, "docker")["command"]) == has
    assert "AIRDOCK_DAEMON_CONFIG" not in env(pod, "docker")


def test_every_other_option_is_rejected() -> None:
    said = problems({name: "x" for name in (OPTIONS["values"] | OPTIONS["rejected"])})
    for name, value in OPTIONS["values"].items():
        assert said.pop(name).endswith(f"set workers.docker.{value}.")
        assert exists(f"workers.<name>.{value}"), name
    assert {name: f"{why}. Remove it." for name, why in OPTIONS["rejected"].items()} == said


def test_a_value_of_the_wrong_kind_is_rejected(tmp_path: Path) -> None:
    """Each, and by the daemon too, but for words of which it takes any."""
    for wrong in ({"a": 1}, [1], "x", 1, True):
        kinds = {name: wrong for name, sample in SAMPLES.items() if type(sample) is not type(wrong)}
        assert problems({**kinds, "nope": 1}).keys() == {*kinds, "nope"}
        for name in kinds:
            if not isinstance(OPTIONS["allowed"][name], list):
                assert "configuration OK" not in dockerd({name: wrong}, tmp_path), (name, wrong)
    assert set(problems({"dns": [1], "log-driver": "none", "hots": 1})) == {"dns", "log-driver", "hots"}


@pytest.mark.parametrize("unset", [None, {}])
def test_without_options_the_images_file_counts(unset: dict[str, Any] | None) -> None:
    """A GPU image brings a daemon.json of its own."""
    pod = spec({"daemon": unset} if unset is not None else {})
    assert "AIRDOCK_DAEMON_CONFIG" not in env(pod, "docker")
    assert "AIRDOCK_DAEMON_CONFIG" not in env(spec({"daemon": {"debug": None}}), "docker")


@pytest.mark.parametrize(("version", "answer"), [("1.24", "configuration OK"), ("1.23", "version is 1.24")])
def test_the_daemon_takes_the_oldest_api_version(tmp_path: Path, version: str, answer: str) -> None:
    """As a variable: an option of the file would keep a daemon that does not know it from starting."""
    found = env(spec({"minApiVersion": version}), "docker")
    assert answer in dockerd({}, tmp_path, DOCKER_MIN_API_VERSION=str(found["DOCKER_MIN_API_VERSION"]))
    assert "DOCKER_MIN_API_VERSION" not in env(spec({"minApiVersion": ""}), "docker")
    assert env(spec({}), "docker")["DOCKER_MIN_API_VERSION"] == "1.24"
