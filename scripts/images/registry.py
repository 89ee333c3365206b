"""Push OCI layouts to a plain HTTP registry (the OCI distribution specification's upload in one request)."""

from __future__ import annotations

from urllib.parse import urljoin

import requests

from scripts.images.errors import ImageError
from scripts.images.oci import Layout

_SECONDS = 300


class Registry:
    """A registry at ``host:port``, reached by plain HTTP and without a proxy."""

    def __init__(self, address: str):
        self.address = address
        self._session = requests.Session()
        self._session.trust_env = False
        #: Blob -> a repository that has it: it is mounted from there, not sent again.
        self._known: dict[str, str] = {}
        try:
            self._call("GET", "/v2/")
        except requests.RequestException as error:
            raise ImageError(f"No registry answers by plain HTTP at {address}: {error}.") from error

    def push(self, layout: Layout, repository: str, tag: str) -> bool:
        """Push an image as ``repository:tag``; returns False if the registry had exactly this one.

        Raises:
            ImageError: if the registry refuses it.
        """
        manifest, descriptor = layout.manifest, layout.descriptor
        accept = {"Accept": descriptor["mediaType"]}
        there = self._session.head(
            self._url(f"/v2/{repository}/manifests/{tag}"), headers=accept, timeout=_SECONDS
        )
        if there.headers.get("Docker-Content-Digest") == descriptor["digest"]:
            return False
        for blob in (*manifest["layers"], manifest["config"]):
            self._push_blob(layout, repository, blob["digest"])
        self._call(
            "PUT",
            f"/v2/{repository}/manifests/{tag}",
            data=layout.blob(descriptor["digest"]).read_bytes(),
            headers={"Content-Type": descriptor["mediaType"]},
        )
        return True

    def _push_blob(self, layout: Layout, repository: str, digest: str) -> None:
        blobs = f"/v2/{repository}/blobs"
        if self._session.head(self._url(f"{blobs}/{digest}"), timeout=_SECONDS).ok:
            self._known[digest] = repository
            return
        mount = {"mount": digest, "from": self._known[digest]} if digest in self._known else {}
        started = self._call("POST", f"{blobs}/uploads/", params=mount)
        if started.status_code != 201:
            with layout.blob(digest).open("rb") as content:
                headers = {"Content-Type": "application/octet-stream"}
                where = urljoin(self._url(""), started.headers["Location"])
                self._call("PUT", where, data=content, params={"digest": digest}, headers=headers)
        self._known[digest] = repository

    def _url(self, path: str) -> str:
        return urljoin(f"http://{self.address}", path)

    def _call(
        self,
        method: str,
        path: str,
        data: object = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        answer = self._session.request(
            method,
            self._url(path),
            data=data,  # type: ignore[arg-type]  # bytes or a file
            params=params,
            headers=headers,
            timeout=_SECONDS,
        )
        if not answer.ok:
            said = f"{answer.status_code} {answer.reason} to {method} {path}"
            raise ImageError(f"The registry {self.address} answered {said}.")
        return answer
