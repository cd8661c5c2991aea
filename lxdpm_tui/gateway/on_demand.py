"""Events of the hosts that are asked for only while a client wants them: a daemon's log tells of every request."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.fleet.inventory import ChangeSet
from lxdpm_tui.fleet.watch import EventListener
from lxdpm_tui.hosts.transport import ApiError, HostError

log = logging.getLogger(__name__)

TYPES = ("logging", "network-acl", "ovn")
LINGER = 5.0  # seconds after the last client has left: another one may come at once
RETRY = 1.0  # seconds until a stream that broke is opened again


class OnDemand:
    """One stream a host, and one a cluster, as long as somebody holds it. close() last."""

    def __init__(self, fleet: Fleet, listener: EventListener) -> None:
        self._fleet = fleet
        self._listener = listener
        self._holders = 0
        self._following: dict[str, asyncio.Task[None]] = {}
        self._ending: asyncio.TimerHandle | None = None
        self._undo = fleet.inventory.subscribe(self._host_changed)

    @property
    def hosts(self) -> frozenset[str]:
        """Those whose streams are open, or being opened."""
        return frozenset(self._following)

    def hold(self) -> None:
        """Somebody wants them, until `release`."""
        self._holders += 1
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        self._follow_all()

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._ending = asyncio.get_running_loop().call_later(LINGER, self._end)

    def close(self) -> None:
        """Idempotent."""
        undo, self._undo = self._undo, lambda: None
        undo()
        if self._ending is not None:
            self._ending.cancel()
        self._end()

    def _end(self) -> None:
        self._ending = None
        following, self._following = self._following, {}
        for task in following.values():
            task.cancel()

    def _host_changed(self, change: ChangeSet) -> None:
        if change.kind != "hosts" or not (self._holders or self._ending):
            return
        record = self._fleet.inventory.hosts.get(change.host)
        usable = record is not None and record.usable
        if usable != (change.host in self._following):  # each heartbeat is a change, and most change nothing here
            self._follow_all()

    def _follow_all(self) -> None:
        wanted = set(self._fleet.distinct(self._fleet.usable()))
        for name in self._following.keys() - wanted:
            self._following.pop(name).cancel()
        for name in wanted - self._following.keys():
            self._following[name] = asyncio.create_task(self._follow(name), name=f"log of {name}")

    async def _follow(self, name: str) -> None:
        while True:
            host = self._fleet.hosts.get(name)
            if host is None:
                return
            try:
                async with host.events(TYPES) as events:
                    async for message in events:
                        event = decode.event(message)
                        self._listener(self._fleet.source(name, event), message, event)
            except (HostError, ApiError, KeyError):
                pass  # that it is down is for its watcher to find out
            except msgspec.DecodeError as error:
                log.error("host %s: unexpected event: %s", name, error)
            await asyncio.sleep(RETRY)
