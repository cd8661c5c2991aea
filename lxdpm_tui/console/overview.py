"""The lines of the overview: capacity, states, what is wrong now, load over the last minutes. No widgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lxdpm_tui.console import text
from lxdpm_tui.console.resources.instances import STATE_STYLES
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.watching import load_of
from lxdpm_tui.console.widgets.board import Piece
from lxdpm_tui.fleet.inventory import HostRecord, Inventory
from lxdpm_tui.fleet.view import natural

Row = list[Piece]
_SPARKS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int, top: float = 1.0) -> str:
    """The last `width` values as a line of little bars, `top` being the highest; blank where none is known yet."""
    last = list(values)[-width:]
    bars = (_SPARKS[min(len(_SPARKS) - 1, max(0, int(value / top * len(_SPARKS))))] for value in last)
    return "".join(bars).rjust(width)


def _bar(share: float, width: int, *, warn: float = 0.85, bad: float = 0.95) -> list[Piece]:
    if share < 0:
        return [Piece("·" * width + "     ", "dim")]
    style = "bad" if share > bad else "warn" if share > warn else "good"
    full = min(width, max(0, round(share * width)))
    return [Piece("━" * full, style), Piece("╌" * (width - full), "dim"), Piece(f" {text.percent(share):>4}")]


def _memory(hosts: Iterable[HostRecord]) -> tuple[int, int]:
    known = [host for host in hosts if host.memory_total]
    return sum(host.memory_used for host in known), sum(host.memory_total for host in known)


def _pools(hosts: Iterable[HostRecord]) -> tuple[int, int]:
    known = [pool for host in hosts for pool in host.pools.values() if pool.total]
    return sum(pool.used for pool in known), sum(pool.total for pool in known)


def fleet_lines(session: Session, width: int) -> list[Row]:
    """The whole fleet: memory, CPUs, pools, load; then the states of instances and hosts."""
    inventory = session.inventory
    hosts = list(inventory.hosts.values())
    bar = min(40, max(10, width - 48))
    used, total = _memory(hosts)
    full, room = _pools(hosts)
    cpus = sum(host.cpus for host in hosts)
    loads = [(host.load, host.cpus) for host in hosts if load_of(host) >= 0]
    load = sum(load for load, _ in loads) / max(1, sum(count for _, count in loads)) if loads else -1.0
    more = f", {text.long_size(sum(host.memory_promised for host in hosts))} promised"
    wide = width >= 100
    lines: list[Row] = [
        [Piece(" memory   ", "label"), *_bar(used / total if total else -1.0, bar),
         Piece(f"  {text.long_size(used)} of {text.long_size(total)}{more if wide else ''}", "dim")],
        [Piece(" storage  ", "label"), *_bar(full / room if room else -1.0, bar),
         Piece(f"  {text.long_size(full)} of {text.long_size(room)}", "dim")],
        [Piece(" load     ", "label"), *_bar(load, bar, warn=0.9, bad=1.5),
         Piece(f"  of {text.count(cpus, 'CPU')}", "dim")],
        [Piece(" lately   ", "label"), Piece(spark(session.watching.loads.get("", ()), bar + 5), "accent"),
         Piece("  load per CPU, the last ten minutes" if wide else "  the last ten minutes", "dim")],
        [],
        [Piece(" instances", "label"), *_states(inventory)],
        [Piece(" hosts    ", "label"), *_host_states(hosts)],
    ]  # fmt: skip
    return lines


def _states(inventory: Inventory) -> Row:
    counts: Counter[str] = Counter()
    for rows in inventory.instances.values():
        counts.update(row.status for row in rows.values())
    pieces = [Piece(f"{number} {state.lower()}   ", STATE_STYLES.get(state, "warn"))
              for state, number in counts.most_common()]  # fmt: skip
    return [Piece(" "), *(pieces or [Piece("none", "dim")])]


def _host_states(hosts: Sequence[HostRecord]) -> Row:
    counts = Counter(host.shown_status for host in hosts)
    styles = {"online": "good", "maintenance": "cold", "slow": "warn", "connecting": "warn"}
    pieces = [Piece(f"{number} {state}   ", styles.get(state, "bad")) for state, number in counts.most_common()]
    return [Piece(" "), *(pieces or [Piece("none", "dim")])]


def wrong_lines(session: Session, most: int = 8) -> list[Row]:
    """What is wrong now, the worst first; one good line when nothing is."""
    rows: list[Row] = []
    for host in session.inventory.hosts.values():
        if not host.usable:
            words = f"{host.status}{f': {host.reason}' if host.reason else ''}"
            rows.append([Piece(f" ✗ {host.name}  ", "bad"), Piece(words)])
    for host in session.inventory.hosts.values():
        if str(host.status) == "slow":
            rows.append([Piece(f" ! {host.name}  ", "warn"), Piece("slow to answer")])
        for pool in host.pools.values():
            if pool.total and pool.used / pool.total > 0.85:
                share = pool.used / pool.total
                words = f"pool {pool.name} is {text.percent(share)} full"
                rows.append([Piece(f" ! {host.name}  ", "bad" if share > 0.95 else "warn"), Piece(words)])
        if host.memory_total and host.memory_used / host.memory_total > 0.95:
            rows.append([Piece(f" ! {host.name}  ", "warn"), Piece("memory is nearly used up")])
    for problem in session.watching.problems.values():
        if problem.text("type") != "Host cannot be asked":
            rows.append([Piece(f" ! {problem.text('type')}  ", "warn"), Piece(_subject(problem.text("entity_url"))),
                         Piece(f"  {problem.text('last_message')}", "dim")])  # fmt: skip
    failed = [task for task in session.tasks.values() if task.status.final and task.error]
    for task in sorted(failed, key=lambda task: -task.updated)[:3]:
        rows.append([Piece(f" ! {task.description} failed  ", "warn"), Piece(task.error.splitlines()[0], "dim")])
    if not rows:
        return [[Piece(" nothing", "good")]]
    more = len(rows) - most
    return [*rows[:most], *([[Piece(f"   and {more} more: 9 shows all warnings", "dim")]] if more > 0 else [])]


def _subject(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def host_lines(session: Session, width: int) -> list[Row]:
    """A line for each host: memory, fullest pool, load, instances, load over time."""
    hosts = sorted(session.inventory.hosts.values(), key=lambda host: (host.usable, natural(host.name)))
    name = min(24, max([4, *(len(host.name) for host in hosts)]))
    sparks = width >= 100
    bar = max(4, min(16, (width - name - 24 - (24 if sparks else 0)) // 3 - 5))
    gap = " " * max(0, bar + 5 - 8)
    head = f" {'HOST':<{name}}  MEMORY  {gap}  STORAGE {gap}  LOAD    {gap}  RUN/ALL" + ("  LATELY" if sparks else "")
    lines: list[Row] = [[Piece(head, "header")]]
    for host in hosts:
        style = "" if host.usable else "stale"
        memory = host.memory_used / host.memory_total if host.memory_total and host.usable else -1.0
        pool = max((p.used / p.total for p in host.pools.values() if p.total), default=-1.0) if host.usable else -1.0
        row: Row = [Piece(f" {text.fit(host.name, name)}  ", style), *_bar(memory, bar), Piece("  "), *_bar(pool, bar),
                    Piece("  "), *_bar(load_of(host), bar, warn=0.9, bad=1.5),
                    Piece(f"  {host.running:>3}/{host.instances:<3}", style)]  # fmt: skip
        if not host.usable:
            row.append(Piece(f"  {host.status}", "bad"))
        elif sparks:
            row.append(Piece("  " + spark(session.watching.loads.get(host.name, ()), 20), "accent"))
        lines.append(row)
    return lines


def overview_lines(session: Session, width: int) -> list[Row]:
    """All of it."""
    title = "header"
    return [
        [Piece(" CAPACITY", title)],
        *fleet_lines(session, width),
        [],
        [Piece(" WRONG NOW", title)],
        *wrong_lines(session),
        [],
        *host_lines(session, width),
    ]
