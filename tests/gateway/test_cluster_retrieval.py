"""Files of an ended container: the sidecar that prints them, and what is rebuilt from its log."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from docker_gateway import cluster_manifest, cluster_retrieval, labels

from .cluster_pods import TASKS, build, refusal, spec
from .escapes import TMP_MOUNT


def retrieve(path: str, **arguments: Any) -> cluster_manifest.Built:
    return build(Labels={labels.RETRIEVE: path}, **arguments)


def test_retrieval() -> None:
    built = retrieve("/tmp/out.pickle", host={"Mounts": [TMP_MOUNT]})
    sidecar = built.manifest["spec"]["initContainers"][0]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["imagePullPolicy"] == "IfNotPresent"
    assert sidecar["command"][-1] == "/tmp/out.pickle"
    main_mount = next(
        m for m in built.manifest["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == "/tmp"
    )
    assert sidecar["volumeMounts"] == [{**main_mount, "readOnly": True}]
    inner = retrieve("/tmp/airflow/x/out", host={"Mounts": [TMP_MOUNT]}).manifest["spec"]
    assert inner["initContainers"][0]["volumeMounts"][0]["mountPath"] == "/tmp/airflow"
    for bad in ("out", "/tmp/../etc/x", "/tmp/", "/proc/self/x"):
        assert "retrieve_output_path" in refusal(Labels={labels.RETRIEVE: bad})
    assert "initContainers" not in spec()
    # An image's own uid is not known: the sidecar must not run as its own image's root.
    assert "runAsUser" not in sidecar["securityContext"]
    own = retrieve("/tmp/out", tasks=dataclasses.replace(TASKS, user=None)).manifest["spec"][
        "initContainers"
    ][0]
    assert own["securityContext"]["runAsUser"] == 50000


def test_a_file_below_tmp_needs_only_the_directory() -> None:
    deep = retrieve("/tmp/out/result.pkl").manifest["spec"]
    (sidecar,) = deep["initContainers"]
    assert sidecar["command"][-1] == "/tmp/out/result.pkl"
    assert [m["mountPath"] for m in sidecar["volumeMounts"]] == ["/tmp"]


def test_a_file_elsewhere_hides_nothing_beside_it() -> None:
    """It alone is mounted, and exists before the container: a missing one would become a directory."""
    pod = retrieve("/app/$out/result.pkl").manifest["spec"]
    create, sidecar = pod["initContainers"]
    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["mountPath"].startswith("/app"))
    assert mount["mountPath"] == "/app/$out/result.pkl"
    assert "restartPolicy" not in create
    path = f"{sidecar['volumeMounts'][0]['mountPath']}/{mount['subPath']}"
    assert create["command"][-1] == sidecar["command"][-1] == path
    assert create["volumeMounts"] == [{"name": mount["name"], "mountPath": path.rpartition("/")[0]}]
    assert sidecar["volumeMounts"][0]["readOnly"]
    assert create["securityContext"] == sidecar["securityContext"]


def test_task_docker_needs_no_label() -> None:
    assert build(Env=["__PYTHON_SCRIPT=eA=="]).retrieve == "/tmp/script.out"


def test_the_file_comes_back_only_whole() -> None:
    import base64
    import hashlib
    import io
    import tarfile

    from docker_gateway.backend import ApiError, Disconnect

    data = bytes(range(256)) * 10
    log = base64.encodebytes(data) + b"airdock-end file %d 644 1700000000 %s\n" % (
        len(data),
        hashlib.sha256(data).hexdigest().encode(),
    )
    archive = cluster_retrieval.read([log[:100], log[100:]], "/tmp/out.bin")
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive.tar))) as tar:
        member = tar.extractfile("out.bin")
        assert member is not None
        assert member.read() == data
    assert (archive.name, archive.size) == ("out.bin", len(data))
    other = (b"B" if log[:1] == b"A" else b"A") + log[1:]  # as long, and another content
    for broken in (
        other,
        b"",
        log[:-70],
        log[40:],
        log.replace(b"airdock-end file 2560", b"airdock-end file 2561"),
        b"airdock-end unreadable\n",
        b"airdock-end large 6291456\n",
    ):
        with pytest.raises(Disconnect):
            cluster_retrieval.read([broken], "/tmp/out.bin")
    with pytest.raises(Disconnect, match="6291456 bytes, and the maximum is 5242880"):
        cluster_retrieval.read([b"airdock-end large 6291456\n"], "/tmp/out.bin")
    with pytest.raises(ApiError) as error:
        cluster_retrieval.read([b"airdock-end missing\n"], "/tmp/out.bin")
    assert error.value.status == 404
