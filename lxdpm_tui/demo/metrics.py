"""GET /1.0/metrics: OpenMetrics text, memory, CPU, disk and network of each running instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

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
    lines = list(_lines(state, running, now)) if running else []
    return "\n".join([*lines, "# EOF", ""])


def _lines(state: State, running: list[Instance], now: float) -> Iterator[str]:
    prefix = state.variant.kind

    def family(
        name: str, kind: str, help_text: str, samples: Callable[[Instance], Iterator[tuple[str, float]]]
    ) -> Iterator[str]:
        yield f"# HELP {prefix}_{name} {help_text}"
        yield f"# TYPE {prefix}_{name} {kind}"
        for one in running:
            labels = f'name="{one.name}",project="{one.project}",type="{one.type}"'
            for extra, value in samples(one):
                yield f"{prefix}_{name}{{{extra}{labels}}} {number(value)}"

    def cpu(one: Instance) -> Iterator[tuple[str, float]]:
        cpus = _cpus(state, one)
        used = state.cpu_seconds(one, now) / cpus
        for index in range(cpus):
            yield f'cpu="{index}",mode="system",', used * 0.25
            yield f'cpu="{index}",mode="user",', used * 0.75

    def memory(key: str) -> Callable[[Instance], Iterator[tuple[str, float]]]:
        def sample(one: Instance) -> Iterator[tuple[str, float]]:
            yield "", float(int(_memory(state, one, now).get(key, 0)))

        return sample

    def network(key: str) -> Callable[[Instance], Iterator[tuple[str, float]]]:
        def sample(one: Instance) -> Iterator[tuple[str, float]]:
            traffic = (now - one.started) * (1000 + one.seed % 90000)
            share = {
                "receive_bytes": 1.0,
                "transmit_bytes": 0.6,
                "receive_packets": 1 / 700,
                "transmit_packets": 1 / 700,
            }
            yield 'device="lo",', 0
            yield 'device="eth0",', float(int(traffic * share.get(key, 0)))

        return sample

    def constant(value: Callable[[Instance], float]) -> Callable[[Instance], Iterator[tuple[str, float]]]:
        return lambda one: iter([("", value(one))])

    yield from family("cpu_seconds_total", "counter", "The total number of CPU time used in seconds.", cpu)
    if state.variant.has("metrics_cpu_effective_total"):
        cpus = constant(lambda one: _cpus(state, one))
        yield from family("cpu_effective_total", "gauge", "The total number of effective CPUs.", cpus)
    for key, text in _MEMORY.items():
        yield from family(f"memory_{key}_bytes", "gauge", text, memory(key))
    if state.variant.has("metrics_memory_oom_total"):
        text = "The number of out of memory kills."
        yield from family("memory_OOM_kills_total", "counter", text, constant(lambda one: 0))
    for key, text in _NETWORK.items():
        yield from family(f"network_{key}_total", "counter", text, network(key))
    yield from family("procs_total", "gauge", "The number of running processes.", constant(lambda one: one.processes))


def _cpus(state: State, one: Instance) -> int:
    limit = str(state.expanded(one)[0].get("limits.cpu", ""))
    return min(int(limit), state.cpus) if limit.isdigit() and int(limit) else state.cpus


def _memory(state: State, one: Instance, now: float) -> dict[str, float]:
    used = state.load(one).memory_at(now)
    limit = state.memory_limit(one)
    cached = used * 0.3
    free = max(0.0, limit - used - cached)
    figures = {"RSS": used, "Cached": cached, "MemTotal": limit, "MemFree": free, "MemAvailable": free + cached}
    return figures | {"Active_anon": used * 0.7, "Inactive_anon": used * 0.3, "Active": used, "Active_file": cached / 2}
