"""What the hosts themselves say, asked behind the gateway's back."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.lab.lab import Lab

ALL = ("h1", "h2", "h3", "i1")


async def ask(lab: Lab, host: str, method: str, path: str, body: object = None) -> Any:
    """One request to one host. On another thread: see tests/actions/images.py."""
    return await asyncio.to_thread(lab.hosts[host].api, method, path, body)


async def having(lab: Lab, url: str) -> list[str]:
    """The hosts that list an object of this URL."""
    collection = url.rpartition("/")[0]
    lists = await asyncio.gather(*(ask(lab, host, "GET", collection) for host in ALL))
    return [host for host, urls in zip(ALL, lists, strict=True) if url in (urls or ())]
