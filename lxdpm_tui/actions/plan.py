"""A bulk act as a plan: the exact API calls per instance, in waves with limits per host. Data and files; no I/O.

A plan is made (plan_make.py), looked at, run (plan_run.py), and kept as JSON with what came of each of its items, so
that a file says what is still to be done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, Literal

import msgspec

from lxdpm_tui.actions.registry import ActionError

VERSION = 1


class State(StrEnum):
    """Of an item. What was under way when the manager died is `running` in the file."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


OnError = Literal["pause", "continue", "stop"]


class Goal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is so when a call has worked. state: "there", "gone", or a status as LXD tells it ("Stopped")."""

    path: str
    state: str


class Call(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One call to a host, in the item's project.

    merge: body is a JSON merge patch (RFC 7396) of what the path has: GET, then PUT with If-Match.  goal: looked at
    before it is made again when nobody knows whether it worked.  via: name of what carries it out, for that which is
    more than one request ("exec"); "" is the request itself.
    """

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    body: dict[str, Any] | None = None
    merge: bool = False
    goal: Goal | None = None
    via: str = ""

    def text(self, project: str = "default") -> str:
        """The call on one line, as it is sent."""
        query = "" if project == "default" else f"?project={project}"
        body = " " + msgspec.json.encode(self.body).decode() if self.body is not None else ""
        method = f"GET+{self.method}" if self.merge else self.method
        return f"{method} {self.path}{query}{body}"


class Item(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What is done to one instance, its calls one after the other, and what came of it.

    makes: name of the instance that it makes.  unsure: the host was lost in the middle: it may have worked.  code: the
    HTTP status of the error.  sent: how many of the calls worked.  result: what they gave, where that is of use.
    """

    host: str
    name: str
    calls: tuple[Call, ...]
    project: str = "default"
    makes: str = ""
    wave: int = 0
    state: State = State.WAITING
    error: str = ""
    code: int = 0
    unsure: bool = False
    tries: int = 0
    sent: int = 0
    result: dict[str, Any] | None = None

    def again(self) -> None:
        """What is left of it is to be done."""
        self.state, self.error, self.code = State.WAITING, "", 0

    def forget(self) -> None:
        """All of it is to be done, as if it never had been."""
        self.again()
        self.unsure, self.tries, self.sent, self.result = False, 0, 0, None


class Limits(msgspec.Struct, forbid_unknown_fields=True):
    """per_host: calls at once on one host.  at_once: in the fleet.  wave: instances of one host in a wave, 0 = all.
    canary: instances in a first wave of their own, spread over the hosts.  on_error: `pause` waits for a person."""

    per_host: int = 4
    at_once: int = 64
    wave: int = 8
    canary: int = 0
    on_error: OnError = "pause"

    def check(self) -> None:
        """Raises ActionError."""
        if self.per_host < 1 or self.at_once < 1:
            raise ActionError("a plan needs to make at least one call at a time")
        if self.wave < 0 or self.canary < 0:
            raise ActionError("the size of a wave cannot be negative")


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """about: a line for people.  state, why: of the run; "ready" until it begins."""

    act: str
    about: str
    items: list[Item]
    limits: Limits = msgspec.field(default_factory=Limits)
    state: Literal["ready", "running", "paused", "done"] = "ready"
    why: str = ""
    version: int = VERSION

    @property
    def hosts(self) -> list[str]:
        return list(dict.fromkeys(item.host for item in self.items))

    @property
    def waves(self) -> list[int]:
        """The numbers of the waves; 0 is the canary."""
        return sorted({item.wave for item in self.items})

    @property
    def wave(self) -> int | None:
        """The one that is under way or comes next; None when nothing is to be done."""
        return min((item.wave for item in self.items if item.state in (State.WAITING, State.RUNNING)), default=None)

    def of(self, *states: State) -> list[Item]:
        return [item for item in self.items if item.state in states]

    def counts(self) -> Counter[State]:
        return Counter(item.state for item in self.items)

    def arrange(self) -> None:
        """Give every item its wave, by the limits."""
        self.limits.check()
        for item, wave in zip(self.items, waves([item.host for item in self.items], self.limits), strict=True):
            item.wave = wave

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def to_json(self) -> str:
        """What `read` takes, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    def calls(self) -> Iterator[tuple[Item, Call]]:
        """Everything that is still to be sent, by wave and host."""
        place = {host: number for number, host in enumerate(self.hosts)}
        for item in sorted(self.items, key=lambda item: (item.wave, place[item.host])):
            if item.state not in (State.DONE, State.SKIPPED):
                for call in item.calls[item.sent :]:
                    yield item, call


def waves(hosts: Sequence[str], limits: Limits) -> list[int]:
    """The wave of each item, given the host of each.

    The canaries come first, one host after the other; then each host has its next `limits.wave` items in each wave.
    """
    canaries = _spread(hosts, limits.canary)
    taken: Counter[str] = Counter()
    found = []
    for at, host in enumerate(hosts):
        if at in canaries:
            found.append(0)
            continue
        found.append(1 + (taken[host] // limits.wave if limits.wave else 0))
        taken[host] += 1
    return found


def _spread(hosts: Sequence[str], count: int) -> set[int]:
    """Indexes of `count` items, from as many hosts as there are."""
    turn: Counter[str] = Counter()
    order = []
    for at, host in enumerate(hosts):
        order.append((turn[host], at))
        turn[host] += 1
    return {at for _, at in sorted(order)[:count]}


def read(source: str | bytes | dict[str, Any]) -> Plan:
    """A plan out of its JSON or its dict. Raises ActionError saying where it is wrong."""
    try:
        plan = msgspec.convert(source, Plan) if isinstance(source, dict) else msgspec.json.decode(source, type=Plan)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ActionError(f"this is no plan: {error}") from error
    if plan.version != VERSION:
        raise ActionError(f"this plan is of version {plan.version}; version {VERSION} is understood")
    plan.limits.check()
    for item in plan.items:
        for call in item.calls:
            if not call.path.startswith("/1.0/"):
                raise ActionError(f"this is no plan: {call.path!r} is no path of the API")
    return plan
