"""Package installation: the parts that can be told without installing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import packages
from tests.lab.layout import LabError
from tests.lab.packages import available, backports_source, installed, no_services_started, os_release

DEB822 = """\
Types: deb
URIs: https://updates.example/debian-security
Suites: bookworm-security
Components: main

# made by hand
Types: deb deb-src
# the next line names the archive
URIs: https://archive.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL
 -----END PGP PUBLIC KEY BLOCK-----
"""

ONE_LINE = """\
deb-src https://archive.example/debian bookworm main
# deb https://no.example/debian bookworm main
deb [arch=amd64] https://other.example/tools tools main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] https://archive.example/debian bookworm main contrib # here
"""


def test_backports_come_from_the_archive_of_the_release() -> None:
    assert backports_source("bookworm-backports", DEB822) == (
        "Types: deb\n"
        "URIs: https://archive.example/debian\n"
        "Suites: bookworm-backports\n"
        "Components: main contrib\n"
        "Signed-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBGPL\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )


def test_backports_from_a_one_line_source() -> None:
    assert backports_source("bookworm-backports", ONE_LINE) == (
        "Types: deb\n"
        "URIs: https://archive.example/debian\n"
        "Suites: bookworm-backports\n"
        "Components: main contrib\n"
        "Signed-By: /usr/share/keyrings/debian.gpg\n"
    )


def test_no_source_for_the_release_is_told() -> None:
    with pytest.raises(LabError, match="no source for trixie"):
        backports_source("trixie-backports", DEB822 + "\n" + ONE_LINE)


def test_os_release() -> None:
    text = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12"\n'
    assert os_release(text) == {
        "ID": "debian",
        "VERSION_CODENAME": "bookworm",
        "PRETTY_NAME": "Debian GNU/Linux 12",
    }


def test_no_service_starts_while_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    with no_services_started():
        assert subprocess.run([policy, "ssh", "start"], check=False).returncode == 101
    assert not policy.exists()
    policy.write_text("the machine's own\n")
    with no_services_started():
        assert policy.read_text() == "the machine's own\n"
    assert policy.exists()


@pytest.mark.lab  # only where apt is
def test_asking_apt() -> None:
    assert {"lxd", "incus-base", "busybox-static"} <= installed()
    offered = available(["busybox-static", "no-such-package"])
    assert set(offered) == {"busybox-static"}
