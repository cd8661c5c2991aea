"""Getting trusted by real daemons."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lxdpm_tui.config import HostConfig
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.identity import ClientIdentity, ensure_identity
from lxdpm_tui.hosts.pairing import client_identity_of, pair, pair_with_identity, parse_token
from lxdpm_tui.hosts.transport import IdentityChanged, Unreachable, Untrusted
from tests.lab.lab import Lab


@pytest.fixture
def identity(tmp_path: Path) -> ClientIdentity:
    """One that no daemon knows."""
    return ensure_identity(tmp_path)


def https(lab: Lab, name: str) -> HostConfig:
    return lab.hosts_config({name: "https"})[0]


async def is_trusted(config: HostConfig, identity: ClientIdentity) -> bool:
    host = Host(config, identity)
    try:
        await host.server()
    except Untrusted:
        return False
    finally:
        await host.close()
    return True


@pytest.mark.parametrize("name", ["h1", "i1"])
async def test_a_token_is_all_that_is_needed(clean_lab: Lab, identity: ClientIdentity, name: str) -> None:
    config = https(clean_lab, name)
    assert not await is_trusted(config, identity)
    token = clean_lab.hosts[name].token()
    paired = await pair(replace(config, fingerprint=None), identity, token=f" {token}\n", client_name="tester")
    assert paired == config
    assert await is_trusted(paired, identity)
    listed = clean_lab.hosts[name].api("GET", f"/1.0/certificates/{identity.fingerprint()}")
    assert listed["type"] == "client"
    assert await pair(paired, identity) == paired  # already: nothing to send


async def test_a_trust_password(clean_lab: Lab, identity: ClientIdentity) -> None:
    config = https(clean_lab, "h1")
    clean_lab.hosts["h1"].api("PATCH", "/1.0", {"config": {"core.trust_password": "open sesame"}})
    with pytest.raises(Untrusted, match="h1: it refused us: not authorized"):
        await pair(config, identity, password="wrong")
    with pytest.raises(Untrusted, match="a token or a password is needed"):
        await pair(config, identity)
    assert not await is_trusted(config, identity)
    await pair(config, identity, password="open sesame")
    assert await is_trusted(config, identity)


@pytest.mark.parametrize("name", ["h1", "i1"])
async def test_a_token_works_once(clean_lab: Lab, identity: ClientIdentity, name: str, tmp_path: Path) -> None:
    token = clean_lab.hosts[name].token()
    await pair(https(clean_lab, name), identity, token=token)
    with pytest.raises(Untrusted, match="it refused us"):
        await pair(https(clean_lab, name), ensure_identity(tmp_path / "second"), token=token)


async def test_another_servers_certificate_gets_no_secret(clean_lab: Lab, identity: ClientIdentity) -> None:
    config = https(clean_lab, "h1")
    token = clean_lab.hosts["h2"].token()
    with pytest.raises(IdentityChanged, match="the token is for the certificate"):
        await pair(config, identity, token=token)
    with pytest.raises(IdentityChanged, match="it shows the certificate"):
        await pair(replace(config, fingerprint=None), identity, token=token)
    with pytest.raises(Untrusted, match="confirmed by nobody"):
        await pair(replace(config, fingerprint=None), identity, password="x")
    await pair(https(clean_lab, "h2"), identity, token=token)  # it was not used up


@pytest.mark.parametrize("name", ["h1", "i1"])
async def test_the_clients_own_identity_vouches_for_ours(clean_lab: Lab, identity: ClientIdentity, name: str) -> None:
    config = https(clean_lab, name)
    known = client_identity_of(clean_lab.base / "client" / "lxc")
    for _ in range(2):  # the second time there is nothing left to do
        assert await pair_with_identity(config, identity, known) == config
        assert await is_trusted(config, identity)


async def test_an_identity_that_is_not_trusted_vouches_for_nobody(
    lab: Lab, identity: ClientIdentity, tmp_path: Path
) -> None:
    with pytest.raises(Untrusted, match=r"it does not trust .*client\.crt either"):
        await pair_with_identity(https(lab, "h1"), identity, ensure_identity(tmp_path / "other"))
    with pytest.raises(FileNotFoundError, match=r"client\.crt"):
        client_identity_of(tmp_path / "nowhere")


async def test_the_environment_redirects_nothing(
    clean_lab: Lab, identity: ClientIdentity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(clean_lab.hosts["h2"].certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    await pair(https(clean_lab, "h1"), identity, token=clean_lab.hosts["h1"].token())


async def test_hosts_that_cannot_be_paired_with(clean_lab: Lab, identity: ClientIdentity) -> None:
    (unix,) = clean_lab.hosts_config({"h1": "unix"})
    with pytest.raises(ValueError, match="only https hosts are paired with"):
        await pair(replace(unix, fingerprint="0" * 64), identity)
    with clean_lab.hosts["h1"].killed(), pytest.raises(Unreachable, match="h1: nobody listens"):
        await pair(https(clean_lab, "h1"), identity, password="x")


@pytest.mark.parametrize("text", ["", "x", "eyJhIjoxfQ==", base64.b64encode(b"[1]").decode(), "é"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="expected a join token"):
        parse_token(text)


def test_a_token_read() -> None:
    said = {"client_name": "n", "fingerprint": "AB", "addresses": ["10.0.0.1:8443"], "secret": "s", "expires_at": ""}
    token = parse_token(base64.b64encode(json.dumps(said).encode()).decode())
    assert (token.client_name, token.fingerprint, token.addresses) == ("n", "ab", ("10.0.0.1:8443",))
