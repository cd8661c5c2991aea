"""A simulated fleet in this process: daemons on unix sockets, with instances that come and go.

processes.py has one in processes of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.demo import cast, instances, snapshots
from lxdpm_tui.demo.cast import HostPlan
from lxdpm_tui.demo.server import SimDaemon
from lxdpm_tui.demo.state import Instance, State

SLOW = 1.5  # seconds by which the host in slow motion answers late


class DemoFleet:
    """`count` simulated hosts, or those of some plans, as an async context manager.

    hosts: how to reach them; daemons: the daemons by host name, to put faults on.  instances_per_host: from, to.
    seed: the same seed gives the same fleet and the same course of events.  activity: now and then an instance stops,
    starts, or gets a snapshot by itself.  faults: one host is down and one answers in slow motion.
    pace: how many times slower than on a fast real host things are done.  interval: mean seconds between events.
    directory: where the sockets go, the caller's to remove; default: one of its own, with mode 0700.
    """

    def __init__(
        self,
        count: int = 8,
        *,
        instances_per_host: tuple[int, int] = (6, 30),
        seed: int = 1,
        activity: bool = True,
        faults: bool = False,
        pace: float = 3.0,
        interval: float = 4.0,
        plans: Sequence[HostPlan] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.plans = cast.plan(count, instances_per_host, seed) if plans is None else plans
        self.daemons: dict[str, SimDaemon] = {}
        self.hosts: list[HostConfig] = []
        self._random = Random(seed)
        self._active = activity
        self._faults = faults
        self._pace = pace
        self._interval = interval
        self._given = directory
        self._directory: Path | None = None
        self._activity: asyncio.Task[None] | None = None

    async def __aenter__(self) -> DemoFleet:
        self._directory = self._given or Path(tempfile.mkdtemp(prefix="lxdpm-demo-"))  # mode 0700
        try:
            for plan in self.plans:
                daemon = SimDaemon(partial(cast.build, plan, self._pace), self._directory / f"{plan.name}.socket")
                await daemon.start()
                self.daemons[plan.name] = daemon
            self.hosts = configs(self.plans, self._directory)
            if self._faults:
                await self._break()
        except BaseException:
            await self._clean_up()
            raise
        if self._active:
            self._activity = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._clean_up()

    async def _clean_up(self) -> None:
        if self._activity is not None:
            self._activity.cancel()
            await asyncio.gather(self._activity, return_exceptions=True)
        for daemon in self.daemons.values():
            daemon.resume()
            await daemon.stop()
        if self._directory is not None and self._given is None:
            shutil.rmtree(self._directory)

    async def _break(self) -> None:
        """The last host is down, the one before it slow, if there are enough of them."""
        names = list(self.daemons)
        if len(names) > 2:
            await self.daemons[names[-1]].stop()
            self.daemons[names[-2]].delay(SLOW)

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.4, 1.6) * self._interval)
            self.stir()

    def stir(self) -> None:
        """Let one thing happen on one host, as it would by itself."""
        states = [daemon.state for daemon in self.daemons.values() if daemon.up and daemon.awoken]
        if not states:
            return
        state = self._random.choice(states)
        idle = [one for one in state.instances() if not one.busy and not one.rootless]
        if idle:
            stir(state, self._random.choice(sorted(idle, key=lambda one: (one.project, one.name))), self._random)


def configs(plans: Iterable[HostPlan], directory: Path) -> list[HostConfig]:
    """How to reach the hosts of these plans, whose sockets are in that directory."""
    return [
        HostConfig(plan.name, UnixAddress(str(directory / f"{plan.name}.socket")), dict(plan.labels)) for plan in plans
    ]


def stir(state: State, found: Instance, random: Random) -> None:
    """Start it if it is stopped; else stop or restart it, or take a snapshot."""
    if found.status == "Stopped":
        body: dict[str, object] = {"action": "start"}
    elif random.random() < 0.35:
        body = {"action": "stop", "force": random.random() < 0.5}
    elif random.random() < 0.5:
        body = {"action": "restart", "force": True}
    else:
        for name in list(found.snapshots)[:-3]:
            snapshots.delete(state, found, name)
            return
        snapshots.take(state, found, {"name": ""})
        return
    instances.change_state(state, found, body)
