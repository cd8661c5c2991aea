"""GET /1.0/metrics: OpenMetrics text, memory, CPU, disk and network of each running instance."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import lru_cache

from lxdpm_tui.demo.state import Instance, State

_MEMORY = {
    "Active_anon": "The amount of anonymous memory on active LRU list.",
    "Active_file": "The amount of file-backed memory on active LRU list.",
    "Active": "The amount of memory on active LRU list.",
    "Cached": "The amount of cached memory.",
    "Dirty": "The amount of memory waiting to get written back to the disk.",
    "Inactive_anon": "The amount of file-backed memory on inactive LRU list.",
    "Inactive_file": "The amount of file-backed memory on inactive LRU list.",
    "Inactive": "The amount of memory on inactive LRU list.",
    "Mapped": "The amount of mapped memory.",
    "MemAvailable": "The amount of available memory.",
    "MemFree": "The amount of free memory.",
    "MemTotal": "The amount of used memory.",
    "RSS": "The amount of anonymous and swap cache memory.",
    "Shmem": "The amount of cached filesystem data that is swap-backed.",
    "Swap": "The amount of used swap memory.",
    "Unevictable": "The amount of unevictable memory.",
    "Writeback": "The amount of memory queued for syncing to disk.",
}
_NETWORK = {
    f"{way}_{what}": f"The amount of {past} {text} on a given interface."
    for way, past in {"receive": "received", "transmit": "transmitted"}.items()
    for what, text in {"bytes": "bytes", "drop": "dropped bytes", "errs": "errors", "packets": "packets"}.items()
}


def number(value: float) -> str:
    """As Go writes a float: shortest digits, an exponent from a million on."""
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.15e}".partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        return f"{value:.15g}"
    sign = "-" if power < 0 else "+"
    return f"{mantissa.rstrip('0').rstrip('.')}e{sign}{abs(power):02d}"


def render(state: State) -> str:
    now = time.time()
    running = [instance for instance in state.instances() if instance.running]
    return "".join(_text(state, running, now)) + "# EOF\n" if running else "# EOF\n"


def _text(state: State, running: list[Instance], now: float) -> Iterator[str]:
    """A family at a time. Made for hundreds of instances: each figure is worked out once, lines are put together."""
    prefix = state.variant.kind
    labels = [f'name="{one.name}",project="{one.project}",type="{one.type}"' for one in running]
    cpus = [_cpus(state, one) for one in running]

    def family(name: str, kind: str, help_text: str, values: Iterable[str], extra: str = "") -> str:
        head = f"{prefix}_{name}{{{extra}"
        lines = "".join([f"{head}{label}}} {value}\n" for label, value in zip(labels, values, strict=True)])
        return f"# HELP {prefix}_{name} {help_text}\n# TYPE {prefix}_{name} {kind}\n{lines}"

    name = f"{prefix}_cpu_seconds_total"
    yield f"# HELP {name} The total number of CPU time used in seconds.\n# TYPE {name} counter\n"
    for one, label, count in zip(running, labels, cpus, strict=True):
        used = state.cpu_seconds(one, now) / count
        lines = _cpu_lines(prefix, count).replace("LABELS", label)
        yield lines.replace("SYSTEM", number(used * 0.25)).replace("USER", number(used * 0.75))
    if state.variant.has("metrics_cpu_effective_total"):
        yield family("cpu_effective_total", "gauge", "The total number of effective CPUs.", map(str, cpus))
    memory = [_memory(state, one, now) for one in running]
    for key, text in _MEMORY.items():
        yield family(f"memory_{key}_bytes", "gauge", text, [figures.get(key, "0") for figures in memory])
    if state.variant.has("metrics_memory_oom_total"):
        yield family("memory_OOM_kills_total", "counter", "The number of out of memory kills.", ["0"] * len(running))
    traffic = [_traffic(one, now) for one in running]
    for key, text in _NETWORK.items():
        lines = family(f"network_{key}_total", "counter", text, ["0"] * len(running), 'device="lo",')
        own = family(f"network_{key}_total", "counter", text, [f.get(key, "0") for f in traffic], 'device="eth0",')
        yield lines + own[own.index(f"{prefix}_network_{key}_total{{") :]
    processes = [number(one.processes) for one in running]
    yield family("procs_total", "gauge", "The number of running processes.", processes)


@lru_cache(512)
def _cpu_lines(prefix: str, cpus: int) -> str:
    """The lines of one instance, with LABELS, SYSTEM and USER to be put in."""
    name = f"{prefix}_cpu_seconds_total"
    return "".join(
        f'{name}{{cpu="{index}",mode="{mode}",LABELS}} {mode.upper()}\n'
        for index in range(cpus)
        for mode in ("system", "user")
    )


def _cpus(state: State, one: Instance) -> int:
    limit = state.setting(one, "limits.cpu")
    return min(int(limit), state.cpus) if limit.isdigit() and int(limit) else state.cpus


def _memory(state: State, one: Instance, now: float) -> dict[str, str]:
    used = state.load(one).memory_at(now)
    limit = state.memory_limit(one)
    cached = used * 0.3
    free = max(0.0, limit - used - cached)
    figures = {"RSS": used, "Cached": cached, "MemTotal": limit, "MemFree": free, "MemAvailable": free + cached}
    figures |= {"Active_anon": used * 0.7, "Inactive_anon": used * 0.3, "Active": used, "Active_file": cached / 2}
    return {key: number(int(value)) for key, value in figures.items()}


def _traffic(one: Instance, now: float) -> dict[str, str]:
    """Of eth0."""
    received = (now - one.started) * (1000 + one.seed % 90000)
    packets = number(int(received / 700))
    return {
        "receive_bytes": number(int(received)),
        "transmit_bytes": number(int(received * 0.6)),
        "receive_packets": packets,
        "transmit_packets": packets,
    }
