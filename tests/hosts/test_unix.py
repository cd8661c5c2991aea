from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from lxdpm_tui.config import UnixAddress
from lxdpm_tui.hosts.transport import Unreachable, Untrusted
from lxdpm_tui.hosts.unix import UnixTransport


async def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=f"there is no socket {tmp_path}/s"):
        await UnixTransport(UnixAddress(f"{tmp_path}/s")).dial(asyncio.Protocol)


async def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(Unreachable, match=r"nobody listens on .*/s: the daemon is not running"):
        await UnixTransport(UnixAddress(f"{tmp_path}/s")).dial(asyncio.Protocol)


async def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(Unreachable):
        await UnixTransport(UnixAddress(f"{tmp_path}/s")).dial(asyncio.Protocol)


async def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    async def denied(*_: object) -> None:
        raise PermissionError(13, os.strerror(13))

    # Tests run as root, whom no mode keeps out.
    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", denied)
    with pytest.raises(Untrusted, match="no permission to open /s"):
        await UnixTransport(UnixAddress("/s")).dial(asyncio.Protocol)
