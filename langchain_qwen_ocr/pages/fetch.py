"""The one place where a file is fetched from an address that somebody else may have chosen.

An address is checked by its words first. Then its host is resolved, every address it resolves to must be public, and
the connection goes to one of those and no other, so that a second answer of the resolver changes nothing. Each redirect
is checked in the same way. Proxies of the environment are not used, since they would resolve for themselves.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_qwen_ocr.errors import ForbiddenSourceError, SourceError
from langchain_qwen_ocr.pages.limits import SourceLimits

if TYPE_CHECKING:
    import httpx2

Resolve = Callable[[str, int], Sequence[str]]
"""Gets the IP addresses of a host and a port."""
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LOCAL_SUFFIXES = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "corp",
    "home",
    "lan",
    "private",
    "svc",
    "home.arpa",
    "test",
    "invalid",
    "onion",
)
"""Ends of names that mean something on a private network only (RFC 2606, 6761, 6762, 8375, 9476 and common habit)."""
_HOST_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)
"""No percent sign and no empty label: what one program refuses, another decodes or leaves out."""
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # Azure's own service, at a public number
            "192.0.0.0/24",
            "192.88.99.0/24",
            "fec0::/10",
            "64:ff9b:1::/48",
            "3fff::/20",
        ),
    )
)
"""Not global by the registries of IANA, or in effect, though some versions of Python say so."""
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BAD_TYPES = re.compile(r"text/(?!plain)(?:html)?|application/(json|xml|xhtml|javascript)|audio/|video/", re.IGNORECASE)
"""Content that is surely no document to be read; a picture labelled as plain text is judged by its bytes."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file from an address."""

    data: bytes = field(repr=False)
    name: str
    """The last part of the path it came from, after redirects; the host when there is none."""


def check_url_words(url: str) -> None:
    """Refuse an address that no public document has, by its words alone; nothing is resolved.

    Allowed is https, with a host name that is neither a number nor local, without user name and password.

    Raises:
        ForbiddenSourceError: It is not allowed; the message says why.
    """
    _parse(url)


def fetch_bytes(url: str, limits: SourceLimits) -> bytes:
    """The file behind *url*, as `fetch` gets it."""
    return fetch(url, limits=limits).data


def fetch(
    url: str,
    *,
    limits: SourceLimits | None = None,
    resolve: Resolve | None = None,
    transport: httpx2.BaseTransport | None = None,
) -> Fetched:
    """The file behind *url*, fetched from a public host.

    Args:
        url: An https address.
        limits: Of size, time and redirects; None for the defaults.
        resolve: What finds the addresses of a host; None for the system's resolver.
        transport: What carries the requests, each to an address already checked; None for the network.

    Raises:
        ForbiddenSourceError: The address, or one it redirects to, is not a public https address.
        SourceError: It cannot be fetched, is no document, or is beyond a limit.
    """
    import httpx2

    limits = limits or SourceLimits()
    deadline = _Deadline(time.monotonic() + limits.fetch_timeout_s, limits.fetch_timeout_s)
    # trust_env=False: no proxies, no .netrc; certificates named in the environment still count for the transport.
    with httpx2.Client(
        transport=transport or httpx2.HTTPTransport(), trust_env=False, follow_redirects=False
    ) as client:
        target = _parse(url)
        for _ in range(limits.max_redirects + 1):
            try:
                answer = _get(client, target, limits, deadline, resolve or resolve_host)
            except httpx2.HTTPError as error:
                raise SourceError(
                    f"{_shown(target)} cannot be fetched ({str(error) or type(error).__name__}). "
                    "Try again, or download it and give the file.",
                    source=str(target),
                ) from error
            if isinstance(answer, bytes):
                return Fetched(answer, target.path.rpartition("/")[2] or target.host)
            target = answer
    raise SourceError(f"{_shown(target)} redirects more than {limits.max_redirects} times.", source=url)


def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver.

    Raises:
        OSError: There is none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def is_public(address: str) -> bool:
    """Whether an IP address, and any address it carries another one inside, belongs to the public internet."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(
        each.is_global
        and not (each.is_multicast or each.is_reserved or each.is_unspecified)
        and not any(each in network for network in _NOT_PUBLIC)
        for each in _with_inner(parsed)
    )


def _with_inner(address: IPAddress) -> Iterator[IPAddress]:
    """The address, or the IPv4 addresses it stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64:
        yield low
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
        if address in _IPV4_COMPATIBLE:
            yield low


@dataclass(frozen=True, slots=True)
class _Deadline:
    at_s: float
    allowed_s: float

    def left_s(self, what: str) -> float:
        """How long there is still.

        Raises:
            SourceError: No time is left.
        """
        left = self.at_s - time.monotonic()
        if left <= 0:
            raise SourceError(
                f"{what} took longer than {self.allowed_s:g} s. Download it and give the file, "
                "or raise fetch_timeout_s of SourceLimits.",
                source=what,
            )
        return left


def _parse(url: str) -> httpx2.URL:
    """The address, taken apart by the same code that will connect to it."""
    import httpx2

    shown = url.partition("?")[0]
    # Programs disagree about these: some read a backslash as a slash and drop white space.
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise ForbiddenSourceError(f"{shown!r} holds characters that no address has.", source=url)
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ForbiddenSourceError(f"{shown!r} is no address ({error}).", source=url) from error
    for is_wrong, why in _WORD_RULES:
        if is_wrong(parsed):
            raise ForbiddenSourceError(f"{shown!r} is not fetched: {why}", source=url)
    return parsed


def _is_number(url: httpx2.URL) -> bool:
    host = url.raw_host.decode("ascii").strip("[]").rstrip(".")
    # 127.1, 2130706433 and 0x7f.0.0.1 are addresses too for those who resolve them.
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _is_name(url: httpx2.URL) -> bool:
    host = url.raw_host.decode("ascii")
    return ":" in host or _HOST_NAME.fullmatch(host) is not None


def _is_local(url: httpx2.URL) -> bool:
    host = url.raw_host.decode("ascii").rstrip(".").lower()
    return "." not in host or any(host == end or host.endswith("." + end) for end in _LOCAL_SUFFIXES)


_WORD_RULES: tuple[tuple[Callable[[httpx2.URL], bool], str], ...] = (
    (lambda url: url.scheme != "https", "only https addresses are. Download it and give the file."),
    (lambda url: bool(url.userinfo), "it holds a user name or password. Download it and give the file."),
    (lambda url: not url.host, "it has no host."),
    (lambda url: url.port is not None and not 0 < url.port < 1 << 16, "it has no such port."),
    (lambda url: not _is_name(url), "its host is no name of a host."),
    (_is_number, "its host is a number. Use the host's name."),
    (_is_local, "its host is on a local network. Download it and give the file."),
)
"""What is wrong with an address, asked in this order."""


def _public_address(url: httpx2.URL, resolve: Resolve) -> str:
    port = url.port or 443
    try:
        addresses = resolve(url.host, port)
    except (OSError, UnicodeError) as error:
        raise SourceError(f"There is no host {url.host} ({error}). Check the address.", source=str(url)) from error
    if not addresses:
        raise SourceError(f"There is no host {url.host}. Check the address.", source=str(url))
    for address in addresses:
        if not is_public(address):
            raise ForbiddenSourceError(
                f"{_shown(url)} is not fetched: {url.host} leads to {address}, which is no public address. "
                "Download it and give the file.",
                source=str(url),
            )
    return addresses[0]


def _get(
    client: httpx2.Client, url: httpx2.URL, limits: SourceLimits, deadline: _Deadline, resolve: Resolve
) -> bytes | httpx2.URL:
    """The file, or where it has gone."""
    address = _public_address(url, resolve)
    what = _shown(url)
    request = client.build_request(
        "GET",
        url.copy_with(host=address),
        # No compression: what is small on the wire stays small in memory.
        headers={"Host": _host_header(url), "Accept": "image/*, application/pdf", "Accept-Encoding": "identity"},
        timeout=deadline.left_s(what),
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )
    answer = client.send(request, stream=True)
    try:
        if answer.status_code in _REDIRECTS and "location" in answer.headers:
            return _parse(str(url.join(answer.headers["location"])))
        _check_answer(answer, what, limits)
        return _body(answer, what, limits, deadline)
    finally:
        answer.close()


def _host_header(url: httpx2.URL) -> str:
    host = url.raw_host.decode("ascii")
    return host if url.port in {None, 443} else f"{host}:{url.port}"


def _check_answer(answer: httpx2.Response, what: str, limits: SourceLimits) -> None:
    from httpx2 import codes

    # None of the host's own words are repeated: an agent's model would take them for ours.
    if answer.status_code != 200:  # noqa: PLR2004 - OK; a part or nothing is no file
        phrase = codes.get_reason_phrase(answer.status_code)
        raise SourceError(
            f"{what} cannot be fetched: its host answers {' '.join((str(answer.status_code), phrase)).strip()}. "
            "Check the address; a login or a signature may have expired.",
            source=what,
        )
    content_type = answer.headers.get("content-type", "")
    bad_type = _BAD_TYPES.match(content_type)
    if bad_type is not None:
        raise SourceError(
            f"{what} is {bad_type[0].rstrip('/').lower()}, neither a picture nor a PDF. Give the file's own address.",
            source=what,
        )
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise SourceError(f"{what} comes compressed. Download it and give the file.", source=what)
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.max_fetch_bytes:
        raise _too_large(what, limits)


def _body(answer: httpx2.Response, what: str, limits: SourceLimits, deadline: _Deadline) -> bytes:
    data = bytearray()
    for chunk in answer.iter_raw():
        data += chunk
        if len(data) > limits.max_fetch_bytes:
            raise _too_large(what, limits)
        deadline.left_s(what)
    return bytes(data)


def _too_large(what: str, limits: SourceLimits) -> SourceError:
    return SourceError(
        f"{what} is larger than {limits.max_fetch_bytes} bytes. Download it and give the file, "
        "or raise max_fetch_bytes of SourceLimits.",
        source=what,
    )


def _shown(url: httpx2.URL) -> str:
    """The address without its query, which may hold a signature."""
    return str(url.copy_with(query=None, fragment=None))
