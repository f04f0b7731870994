"""Calls to the outside go to public addresses only."""

import pytest

from ringfence.kernel.problems import Fault
from ringfence.oauth.clients import check_redirect_uri
from ringfence.store import outward
from ringfence.store.outward import Unreachable, checked_address, fetch, is_public

INSIDE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255",  # noqa: S104
    "100.64.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_inner_addresses_are_not_public_however_they_are_written(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://localhost/keys", "https://127.0.0.1/", "ftp://x", "https:///x"]
)
async def test_nothing_inside_is_fetched(url: str) -> None:
    with pytest.raises(Unreachable):
        await fetch(url)


async def test_one_inner_address_among_several_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "is_public", lambda address: address != "127.0.0.1")
    with pytest.raises(Unreachable, match="public internet"):
        await checked_address("localhost", 443)


@pytest.mark.parametrize(
    "uri",
    ["http://crm.example/cb", "https://crm.example/#x", "https://*.example/cb", "javascript:alert(1)", "/cb", "https://",
     "https://a b.example/", "https://u:p@crm.example/cb", "data:text/html,x", ""],
)  # fmt: skip
def test_redirect_uris_that_cannot_be_trusted_are_not_registered(uri: str) -> None:
    with pytest.raises(Fault):
        check_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri", ["https://crm.example/cb?x=1", "http://127.0.0.1:3000/cb", "http://localhost/cb", "com.example.app:/cb"]
)
def test_others_are(uri: str) -> None:
    check_redirect_uri(uri)
