"""How fast the console is, on a real pseudo-terminal: 1,000 hosts, every row changing each second; and DataTable.

    python -m benchmarks.console [--each 30 100] [--quick] [table] [fleet] [start]

`table`: the console over 1,000 hosts' rows that all change each second, without a network: key to paint, filter to
result, lag of the event loop, bytes, CPU at rest, a link of 16 kB/s; then DataTable on the same rows and box.  `fleet`:
the whole program over 1,000 simulated hosts (HTTP, events, metrics).  `start`: what is on screen how long after the
start: the frame or the last table (before Textual is imported), the console itself, its first rows.

Prints every figure with its bar (issue 4). Fails when a bar is missed. Judge by quiet runs: other work on the machine
shows in every figure above p50; the ratio to DataTable, measured in the same run, is what stays.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from benchmarks.console_on.timed import Timed

HOSTS = 1000
DOWN, UP, PAGE, PAGE_UP = b"\x1b[B", b"\x1b[A", b"\x1b[6~", b"\x1b[5~"
MOVED, FOUND = b"777;moved", b"777;found"
COLOUR = b"\x1b[38;2;"  # the console has colours, what is shown before it has none
WORDS = ("web", "ci-r", "running", "ams", "d")
SIZES = ((160, 45), (80, 24))
LINK = 16_000  # bytes a second


class Sheet:
    """The figures, and whether all bars held."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def line(self, what: str, value: float, unit: str, bar: float | None = None) -> None:
        good = bar is None or value <= bar
        said = "" if bar is None else f"   bar {bar:g} {unit}   {'ok' if good else 'MISSED'}"
        print(f"  {what:<44} {value:10.1f} {unit:<5}{said}", flush=True)
        if not good:
            self.missed.append(what)


def part(values: Sequence[float], share: float) -> float:
    """A percentile; values that never came count as they are (inf)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def arrows(terminal: Timed, count: int, pause: float = 0.07) -> list[float]:
    """A person going down and up; the pauses fall at any moment of a tick."""
    found = []
    for number in range(count):
        found.append(terminal.timed(DOWN if number % 24 < 16 else UP, MOVED))
        terminal.run_for(pause + 0.013 * (number % 5))
    return found


def filters(terminal: Timed, rounds: int) -> list[float]:
    """Every letter of some words, as typed into the filter, each to its result."""
    found = []
    for number in range(rounds):
        terminal.press(b"/")
        terminal.run_for(0.4)
        for letter in WORDS[number % len(WORDS)]:
            found.append(terminal.timed(letter.encode(), FOUND))
            terminal.run_for(0.11)
        terminal.press(b"\x1b")
        terminal.run_for(0.8)
    return found


def common(sheet: Sheet, terminal: Timed, count: int) -> None:
    keys = arrows(terminal, count)
    sheet.line("key to paint, p50", part(keys, 0.5), "ms", 10)
    sheet.line("key to paint, p99", part(keys, 0.99), "ms", 50)
    pages = []
    for number in range(count // 5):
        pages.append(terminal.timed(PAGE if number % 8 < 5 else PAGE_UP, MOVED))
        terminal.run_for(0.1)
    sheet.line("page to paint, p99", part(pages, 0.99), "ms")
    found = filters(terminal, max(3, count // 30))
    sheet.line("filter to result, p50", part(found, 0.5), "ms")
    sheet.line("filter to result, p99", part(found, 0.99), "ms", 60)


def lag(sheet: Sheet, seen: dict[str, list[float]], skip: int) -> None:
    samples = seen.get("lag", [])[skip:]
    sheet.line("event-loop lag, p99", part(samples, 0.99), "ms", 10)
    sheet.line("event-loop lag, p99.9", part(samples, 0.999), "ms")
    sheet.line("event-loop lag, most", max(samples, default=float("nan")), "ms")


def table(sheet: Sheet, each: int, size: tuple[int, int], count: int) -> None:
    print(f"table, {HOSTS * each} rows, all of them changing each second, {size[0]}x{size[1]}:")
    words = ("table", str(HOSTS), str(each))
    with Timed(*words, "tick", size=size) as terminal:
        terminal.wait_for(b"api-", 60)
        terminal.run_for(6.0)
        ticks = [terminal.run_for(1.0) for _ in range(8)]
        sheet.line("bytes a second while all rows change", statistics.median(ticks), "B", 3000)
        before, began = terminal.cpu(), time.perf_counter()
        terminal.run_for(5.0)
        sheet.line("CPU while all rows change", 100 * (terminal.cpu() - before) / (time.perf_counter() - began), "%")
        common(sheet, terminal, count)
        terminal.press(b"s")
        terminal.press(b"s")
        seen = terminal.report()
        lag(sheet, seen, 2000)
        sheet.line("resident memory", seen["rss"] / 1024, "MB")
    with Timed(*words, "still", size=size) as terminal:
        terminal.wait_for(b"api-", 60)
        terminal.run_for(7.0)
        before, began = terminal.cpu(), time.perf_counter()
        sheet.line("bytes a second at rest", terminal.run_for(8.0) / 8, "B", 0)
        sheet.line("CPU at rest", 100 * (terminal.cpu() - before) / (time.perf_counter() - began), "%", 1)
        costs = []
        for _ in range(12):
            terminal.press(DOWN)
            costs.append(terminal.run_for(0.3))
        sheet.line("bytes per arrow", statistics.median(costs) - len(MOVED) - 3, "B", 700)
    with Timed(*words, "tick", size=size, rate=LINK) as terminal:
        terminal.wait_for(b"api-", 60)
        terminal.run_for(8.0)
        keys = arrows(terminal, count // 2)
        sheet.line("key to paint over 16 kB/s, p50", part(keys, 0.5), "ms")
        sheet.line("key to paint over 16 kB/s, p90", part(keys, 0.9), "ms", 100)


def datatable(sheet: Sheet, each: int, size: tuple[int, int], count: int) -> None:
    print(f"DataTable, the same {HOSTS * each} rows and ticks, {size[0]}x{size[1]}:")
    words = ("datatable", str(HOSTS), str(each))
    with Timed(*words, "tick", size=size) as terminal:
        began = time.perf_counter()
        terminal.wait_for(FOUND, 240)
        sheet.line("until it can be used", 1000 * (time.perf_counter() - began), "ms")
        terminal.run_for(3.0)
        ticks = [terminal.run_for(1.0) for _ in range(6)]
        sheet.line("bytes a second while all rows change", statistics.median(ticks), "B")
        keys = []
        for number in range(count // 4):
            keys.append(terminal.timed(DOWN if number % 24 < 16 else UP, MOVED, 20))
            terminal.run_for(0.1)
        sheet.line("key to paint, p50", part(keys, 0.5), "ms")
        sheet.line("key to paint, p99", part(keys, 0.99), "ms")
        seen = terminal.report()
        samples = seen.get("lag", [])
        sheet.line("event-loop lag, p99", part(samples, 0.99), "ms")
        sheet.line("event-loop lag, most", max(samples, default=float("nan")), "ms")


def fleet(sheet: Sheet, each: int, size: tuple[int, int], count: int) -> None:
    print(f"the whole program over {HOSTS} simulated hosts with {HOSTS * each} instances, {size[0]}x{size[1]}:")
    with Timed("fleet", str(HOSTS), str(each), "tick", size=size) as terminal:
        total = f"{HOSTS} hosts".encode()
        began = time.perf_counter()
        terminal.wait_for(total, 60)
        terminal.wait_for(b"Running", 60)  # without a row no cursor moves
        early = arrows(terminal, 60)
        sheet.line("key to paint while hosts are being read, p50", part(early, 0.5), "ms")
        sheet.line("key to paint while hosts are being read, p99", part(early, 0.99), "ms")
        while terminal.run_for(3.0) > 20_000 or time.perf_counter() - began < 60:
            if time.perf_counter() - began > 150:
                break
        skip = int((time.perf_counter() - began) / 0.0025)
        before, since = terminal.cpu(), time.perf_counter()
        written = terminal.run_for(12.0)
        sheet.line("bytes a second", written / 12, "B")
        sheet.line("CPU", 100 * (terminal.cpu() - before) / (time.perf_counter() - since), "%")
        common(sheet, terminal, count)
        seen = terminal.report()
        lag(sheet, seen, min(skip, len(seen.get("lag", [])) // 2))
        sheet.line("resident memory", seen.get("rss", 0) / 1024, "MB")


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Programs find their byte code, as an installed one does, whatever the environment of this one says of that."""
    with tempfile.TemporaryDirectory(prefix="lxdpm-bench-") as folder:
        before = dict(os.environ)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def start(sheet: Sheet, rounds: int) -> None:
    """Each round: an empty Python, an empty Textual app, a first start, and another, which has a screen to show."""
    print("start of the program:")
    size = SIZES[0]
    all_of_them: list[list[float]] = [[], [], [], [], [], []]
    bare, textual, frame, paint, kept, rows = all_of_them

    def since(began: float) -> float:
        return 1000 * (time.perf_counter() - began)

    with installed():
        for number in range(-1, rounds):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            bare.append(since(began))
            began = time.perf_counter()
            with Timed(size=size, program=("-m", "benchmarks.console_on.empty")) as terminal:
                terminal.wait_for(b"nothing", 20.0)
                textual.append(since(began))
                terminal.ended()
            with tempfile.TemporaryDirectory(prefix="lxdpm-bench-") as state:
                program = ("-m", "lxdpm_tui", "--demo", "8", "--state", state)
                for again in (False, True):
                    began = time.perf_counter()
                    with Timed(size=size, program=program) as terminal:
                        terminal.wait_for(b"as it was" if again else b"starting", 20.0)
                        (kept if again else frame).append(since(began))
                        terminal.wait_for(COLOUR if again else b"connecting", 30.0)
                        (rows if again else paint).append(since(began))
                        if not again:
                            terminal.wait_for(b"Running", 30.0)
                        terminal.run_for(1.0)
                        terminal.press(b"q")
                        terminal.ended()
            if number < 0:  # it wrote the byte code
                for values in all_of_them:
                    values.clear()
    sheet.line("an empty Python, median", statistics.median(bare), "ms")
    sheet.line("an empty Textual app painted, median", statistics.median(textual), "ms")
    sheet.line("first start: frame on screen, median", statistics.median(frame), "ms", 50)
    sheet.line("first start: the console painted, median", statistics.median(paint), "ms", 300)
    sheet.line("later start: last table on screen, median", statistics.median(kept), "ms", 50)
    sheet.line("later start: live rows over it, median", statistics.median(rows), "ms")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", help="table, fleet, start; all of them by default")
    parser.add_argument("--each", type=int, nargs="+", default=[30, 100], help="instances a host")
    parser.add_argument("--quick", action="store_true", help="fewer keys, one size")
    parser.add_argument("--no-baseline", action="store_true", help="leave DataTable out")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs on the terminals ends, too
    parts = given.parts or ["start", "table", "fleet"]
    count = 100 if given.quick else 300
    sizes = SIZES[:1] if given.quick else SIZES
    sheet = Sheet()
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    if "start" in parts:
        start(sheet, 5 if given.quick else 15)
    for each in given.each:
        for size in sizes:
            if "table" in parts:
                table(sheet, each, size, count)
                if not given.no_baseline:
                    datatable(sheet, each, size, count)
            if "fleet" in parts:
                fleet(sheet, each, size, count)
    print(f"load average at the end: {os.getloadavg()[0]:.1f}")
    print(f"missed: {', '.join(sheet.missed) or 'nothing'}")
    return 1 if sheet.missed else 0


if __name__ == "__main__":
    sys.exit(main())
