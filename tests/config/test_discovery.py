from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path

import pytest

from lxdpm_tui.config import ConfigError, HostConfig, HttpsAddress, UnixAddress, client_remotes, local_sockets
from lxdpm_tui.hosts.identity import ensure_identity

REMOTES = """\
default-remote: local
remotes:
  h1:
    addr: https://10.0.0.1:8443
    auth_type: tls
    protocol: lxd
    public: false
  fresh:
    addr: https://10.0.0.2
    protocol: incus
  sock:
    addr: unix:///run/other/unix.socket
  images:
    addr: https://images.example.org
    protocol: simplestreams
    public: true
  pub:
    addr: https://10.0.0.3:8443
    public: true
  with space:
    addr: https://10.0.0.4:8443
  odd:
    addr: gopher://x
aliases: {}
"""


def test_remotes_of_a_client_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(REMOTES)
    certificate = ensure_identity(tmp_path / "some").cert_path.read_text()
    (tmp_path / "servercerts").mkdir()
    (tmp_path / "servercerts" / "h1.crt").write_text(certificate)
    found = client_remotes(tmp_path)
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
    assert found.hosts == [
        HostConfig("h1", HttpsAddress("10.0.0.1"), fingerprint=pin),
        HostConfig("fresh", HttpsAddress("10.0.0.2")),
        HostConfig("sock", UnixAddress("/run/other/unix.socket")),
    ]
    assert found.directories == dict.fromkeys(("h1", "fresh", "sock"), tmp_path)
    assert found.skipped["images"] == "serves images only (simplestreams)"
    assert found.skipped["pub"] == "is public: it serves images only"
    assert "like a hostname" in found.skipped["with space"]
    assert found.skipped["odd"].startswith("gopher://x: expected unix://")
    assert client_remotes(tmp_path / "config.yml") == found


@pytest.mark.parametrize(("text", "expected"), [(None, "No such file"), ("a: [b\n", "config.yml:2: not YAML")])
def test_configurations_that_cannot_be_read(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / "config.yml").write_text(text)
    with pytest.raises(ConfigError, match=expected):
        client_remotes(tmp_path)


def test_an_empty_configuration_has_no_remotes(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("aliases: {}\n")
    assert client_remotes(tmp_path).hosts == []


def test_sockets_of_this_machine(tmp_path: Path) -> None:
    def listen(name: str) -> str:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / name))
        return str(tmp_path / name)

    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "file").write_text("")
    places = [
        ("lxd", listen("a")),
        ("lxd", str(tmp_path / "link")),
        ("lxd", str(tmp_path / "file")),
        ("lxd", str(tmp_path / "absent")),
        ("lxd", listen("b")),
        ("incus", listen("c")),
    ]
    assert local_sockets(places) == [
        HostConfig("lxd", UnixAddress(places[0][1])),
        HostConfig("lxd-2", UnixAddress(places[4][1])),
        HostConfig("incus", UnixAddress(places[5][1])),
    ]
