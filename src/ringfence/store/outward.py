"""HTTP to the outside world: only to public addresses, and to the very address that was checked."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

LIMIT = 256 * 1024
READ = 64 * 1024  # bytes of a receiver's answer that are read, so that its connection can be used again
SHOWN = 1024  # of them, those that are kept
KNOWN = 30.0  # seconds for which an address is taken to be where a name leads
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Unreachable(Exception):
    """The address may not be called, or did not answer as it should; the message says which."""


def is_public(text: str) -> bool:
    """Whether an address is one on the public internet, also when it is an IPv4 one inside an IPv6 one."""
    address = ipaddress.ip_address(text.split("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address.sixtofour is not None:
            return is_public(str(address.sixtofour))
        if address in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
    return address.is_global and not address.is_multicast


async def checked_address(host: str, port: int, *, private: bool = False) -> str:
    """One address of a host; all that it resolves to must be public, unless `private` ones are allowed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as why:
        raise Unreachable(f"{host} cannot be resolved") from why
    addresses = [str(info[4][0]) for info in found]
    if not addresses or not (private or all(is_public(address) for address in addresses)):
        raise Unreachable(f"{host} is not on the public internet")
    return addresses[0]


async def fetch(url: str, *, patience: float = 5.0) -> bytes:
    """GET an https URL: no redirects, at most LIMIT bytes, on a socket to the address that was checked."""
    import httpx2  # only where it is needed: it takes a while to load

    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise Unreachable("only https URLs are fetched")
    address = await checked_address(parts.hostname, parts.port or 443)
    literal = f"[{address}]" if ":" in address else address
    pinned = urlunsplit(("https", f"{literal}:{parts.port or 443}", parts.path or "/", parts.query, ""))
    try:
        async with (
            httpx2.AsyncClient(timeout=patience, follow_redirects=False, trust_env=False) as client,
            client.stream(
                "GET", pinned, headers={"Host": parts.netloc}, extensions={"sni_hostname": parts.hostname}
            ) as response,
        ):
            if response.status_code != 200:
                raise Unreachable(f"{parts.hostname} answered {response.status_code}")
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LIMIT:
                    raise Unreachable(f"{parts.hostname} answered with more than {LIMIT} bytes")
            return body
    except httpx2.HTTPError as why:
        raise Unreachable(f"{parts.hostname} did not answer: {type(why).__name__}") from why


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver answered: its status, headers in lower case, and the begin of what it said."""

    status: int
    headers: Mapping[str, str]
    begin: str


class Caller:
    """Calls one receiver again and again over connections that stay open: no redirects, only to checked addresses.

    `private` allows http and addresses that are not public, for a laptop or a closed network.
    """

    def __init__(self, *, private: bool = False, patience: float = 10.0) -> None:
        self._private, self._patience = private, patience
        self._client: Any = None
        self._checked: dict[tuple[str, int], tuple[str, float]] = {}

    async def _address(self, host: str, port: int) -> str:
        now = asyncio.get_running_loop().time()
        known = self._checked.get((host, port))
        if known is None or known[1] <= now:
            found = await checked_address(host, port, private=self._private)
            self._checked[host, port] = known = (found, now + KNOWN)
        return known[0]

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send a request; the answer within the patience, in seconds, or Unreachable."""
        import httpx2

        parts = urlsplit(url)
        if parts.scheme not in (("https", "http") if self._private else ("https",)) or not parts.hostname:
            raise Unreachable("only https URLs are called")
        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=self._patience, follow_redirects=False, trust_env=False)
        said = b""
        try:
            async with asyncio.timeout(self._patience):
                port = parts.port or (443 if parts.scheme == "https" else 80)
                address = await self._address(parts.hostname, port)
                literal = f"[{address}]" if ":" in address else address
                pinned = urlunsplit((parts.scheme, f"{literal}:{port}", parts.path or "/", parts.query, ""))
                async with self._client.stream(
                    method, pinned, headers={**headers, "host": parts.netloc}, content=body,
                    extensions={"sni_hostname": parts.hostname},
                ) as response:  # fmt: skip
                    async for chunk in response.aiter_bytes():
                        said += chunk
                        if len(said) > READ:
                            break
                    shown = said[:SHOWN].decode("utf-8", "replace").replace("\0", "\ufffd")
                    return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, shown)
        except TimeoutError as why:
            raise Unreachable(f"{parts.hostname} did not answer within {self._patience:g} s") from why
        except (httpx2.HTTPError, ValueError) as why:
            raise Unreachable(f"{parts.hostname} did not answer: {type(why).__name__}") from why

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


async def call(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, private: bool = False, patience: float = 10.0
) -> int:
    """Send one request and forget the answer but for its status."""
    caller = Caller(private=private, patience=patience)
    try:
        return (await caller.send(method, url, headers, body)).status
    finally:
        await caller.close()
