"""As much of a browser as a login needs: redirects, cookies, forms, and names that lead to a local port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.util.connection


@contextlib.contextmanager
def names(places: Mapping[tuple[str, int], int]) -> Iterator[None]:
    """Let connections to these hosts and ports go to ports of this host. TLS still checks the name."""
    connect = urllib3.util.connection.create_connection

    def connected(address: tuple[str, int], *arguments: Any, **options: Any) -> Any:
        local = places.get(address)
        return connect(("127.0.0.1", local) if local else address, *arguments, **options)

    urllib3.util.connection.create_connection = connected
    try:
        yield
    finally:
        urllib3.util.connection.create_connection = connect


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and self.action is None:
            self.action, self._open = found.get("action", ""), True
        if tag == "input" and self._open and found.get("name"):
            self.fields[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False


class Browser:
    """A browser with cookies of its own.

    Args:
        authority: path of the CA certificates that it trusts.
    """

    def __init__(self, authority: str) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = authority

    def ask(self, url: str, method: str = "GET", **options: Any) -> requests.Response:
        """Request a URL, and follow redirects to the page."""
        return self.session.request(method, url, timeout=60, **options)

    def submit(self, page: requests.Response, **fields: str) -> requests.Response:
        """Fill in the first form of a page and post it."""
        form = _Form(page.text)
        assert form.action is not None, page.text
        assert fields.keys() <= form.fields.keys(), (fields, form.fields)
        return self.ask(urljoin(page.url, form.action), "POST", data={**form.fields, **fields})

    def cookies(self, host: str) -> dict[str, Any]:
        """The cookies of a host, by name."""
        return {cookie.name: cookie for cookie in self.session.cookies if cookie.domain == host}


def host_of(url: str) -> str:
    """The host of a URL, without its port."""
    return str(urlsplit(url).hostname)
