"""A file fetched for a tool: from listed hosts only, also where it is redirected to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from langchain_qwen_ocr.pages.fetch import Resolve, fetch
from langchain_qwen_ocr.tools.access import Access, Address
from langchain_qwen_ocr.tools.shelf import FetchedSource

if TYPE_CHECKING:
    import httpx2

Fetch = Callable[[Address, Access], FetchedSource]
"""Gets the file of an address that may be fetched."""


def fetch_listed(
    address: Address,
    access: Access,
    *,
    resolve: Resolve | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> FetchedSource:
    """The file behind an address, fetched by the guarded fetch.

    Raises:
        ForbiddenSourceError: The address, or one it redirects to, is not public or not listed.
        SourceError: It cannot be fetched, is no document, or is beyond a limit.
    """
    data = fetch(address.url, resolve=resolve, transport=_listed_hosts_only(access, transport)).data
    return FetchedSource(address.url, data, hashlib.sha256(data).hexdigest())


def _listed_hosts_only(access: Access, transport: httpx2.BaseTransport | None) -> httpx2.BaseTransport:
    """A transport that looks at the host of every request: the first, and those that redirects ask for."""
    import httpx2

    carrier = transport or httpx2.HTTPTransport()

    class ListedHosts(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            # The address is a number by now; the name that was asked for stands in the header.
            access.check_host(request.headers["host"])
            return carrier.handle_request(request)

        def close(self) -> None:
            carrier.close()

    return ListedHosts()
