"""How fast a PDF is read here, beside what one would write or take instead.

`python -m tests.benchmarks.ingestion` makes the documents, starts an endpoint with a fixed latency on the loopback,
lets each way of reading them run in a process of its own, and prints a table. The README beside this file says how to
read it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.ingestion_arms import ARMS, NOT_INSTALLED, Job, Taken
from tests.benchmarks.ingestion_pages import DOCUMENTS

ROOT = Path(__file__).resolve().parents[2]
ARM_TIMEOUT_S = 600
PLAIN = ("openai-loop", "openai-threads", "openai-async")
LOADERS = ("pymupdf-loader", "pypdf-loader")
OURS = ("qwen-read", "qwen-aread", "qwen-loader")

LIMIT_SHARE = 0.85
CPU_MS = 6.0
TIMES_PLAIN = 3.0
TIMES_LOADERS = 40.0
TIMES_FLOOR = 1.15
TIMES_MEMORY = 1.2


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One arm with what it is given."""

    arm: str
    document: str
    pages: int
    in_flight: int = 1


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of an entry."""

    entry: Entry
    taken: Taken | None = None
    note: str = ""

    @property
    def pages_per_s(self) -> float:
        """NaN where the arm did not run."""
        return self.taken.pages / self.taken.wall_s if self.taken and self.taken.wall_s else math.nan

    @property
    def cpu_ms(self) -> float:
        """Of one page."""
        return 1000 * self.taken.cpu_s / self.taken.pages if self.taken and self.taken.pages else math.nan


def plan(options: argparse.Namespace) -> Iterator[Entry]:
    """What is run, in this order."""
    pages, few = options.pages, min(options.few_pages, options.pages)

    def entries(arms: Iterable[str], document: str, pages: int, *in_flight: int) -> Iterator[Entry]:
        for arm in arms:
            for number in in_flight:
                yield Entry(arm=arm, document=document, pages=pages, in_flight=number)

    yield from entries(("openai-loop", *LOADERS), "scans", few, 1)
    yield from entries(("zerox",), "scans", few, 16)
    yield from entries(("openai-threads", "openai-async", *OURS), "scans", pages, 16, 32)
    yield from entries(("render", "qwen-prepare"), "scans", pages, 2)
    for document in ("turned", "text"):
        yield from entries(("render", "qwen-prepare"), document, pages, 2)
        yield from entries(("openai-threads", *OURS), document, pages, 16, 32)
    if options.memory_pages:
        yield from entries(OURS, "scans", options.memory_pages, 16)


# Running


class Bench:
    """The documents, the endpoint, and the processes.

    Args:
        folder: Where documents are made.
        origin: Of the endpoint.
        interpreters: For arms whose packages are installed elsewhere.
        profiles: Where profiles are left; None for none.
    """

    def __init__(self, folder: Path, origin: str, *, interpreters: dict[str, str], profiles: Path | None) -> None:
        self._folder = folder
        self._origin = origin
        self._interpreters = interpreters
        self._profiles = profiles

    def run(self, entry: Entry) -> Row:
        """One run of an entry."""
        name = f"{entry.arm}-{entry.document}-{entry.pages}-{entry.in_flight}"
        job = Job(
            document=str(self._document(entry.document, entry.pages)),
            warm_up=str(self._document(entry.document, 1)),
            origin=self._origin,
            in_flight=entry.in_flight,
            profile=str(self._profiles / f"{name}.pstats") if self._profiles else None,
        )
        program = "tests.benchmarks.ingestion_arms"
        interpreter = self._interpreters.get(entry.arm, sys.executable)
        try:
            done = subprocess.run(
                [interpreter, "-m", program, entry.arm, json.dumps(asdict(job))],
                cwd=ROOT, capture_output=True, text=True, timeout=ARM_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Row(entry=entry, note=f"stopped after {ARM_TIMEOUT_S} s")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1][:90]
            return Row(entry=entry, note=("skipped: " if done.returncode == NOT_INSTALLED else "failed: ") + last)
        # Others may print what they like; the result is the last line.
        taken = Taken(**json.loads(done.stdout.strip().splitlines()[-1]))
        note = "" if taken.pages == entry.pages else f"gave {taken.pages} of {entry.pages} pages"
        return Row(entry=entry, taken=taken, note=note)

    def _document(self, kind: str, pages: int) -> Path:
        path = self._folder / f"{kind}-{pages}.pdf"
        if not path.exists():
            DOCUMENTS[kind](path, pages)
        return path


@contextmanager
def endpoint(latency_ms: float) -> Iterator[str]:
    """The origin of an endpoint in a process of its own, ended on the way out."""
    command = [sys.executable, "-m", "tests.benchmarks.ingestion_stub", "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


# Telling


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    head: str
    cell: Callable[[Row], str]


def columns(rows: Sequence[Row], latency_s: float) -> tuple[Column, ...]:
    """The table's columns; ratios are to the fastest plain arm of *rows*."""
    plain = best(rows, PLAIN)

    def share(row: Row) -> str:
        floor = row.entry.arm in {"render", "qwen-prepare"}
        return "" if floor else f"{row.pages_per_s * latency_s / row.entry.in_flight:.2f}"

    def taken(cell: Callable[[Taken], str]) -> Callable[[Row], str]:
        return lambda row: cell(row.taken) if row.taken else "-"

    return (
        Column("arm", lambda row: row.entry.arm),
        Column("in flight", lambda row: str(row.entry.in_flight)),
        Column("pages", lambda row: str(row.entry.pages)),
        Column("pages/s", lambda row: f"{row.pages_per_s:.2f}"),
        Column("x plain", lambda row: f"{row.pages_per_s / plain:.2f}"),
        Column("of limit", share),
        Column("CPU ms/page", lambda row: f"{row.cpu_ms:.1f}"),
        Column("peak MB", taken(lambda t: f"{t.peak_rss_mb:.0f}")),
        Column("start MB", taken(lambda t: f"{t.start_rss_mb:.0f}")),
        Column("first page s", taken(lambda t: f"{t.first_page_s:.2f}")),
        Column("peak in flight", taken(lambda t: str(t.peak_in_flight))),
        Column("requests", taken(lambda t: str(t.requests))),
        Column("MB sent", taken(lambda t: f"{t.megabytes_sent:.0f}")),
        Column("", lambda row: row.note),
    )


def table(rows: Sequence[Row], latency_s: float) -> str:
    """The rows of one document, under their heads."""
    shown = columns(rows, latency_s)
    lines = [[column.head for column in shown], *([column.cell(row) for column in shown] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(shown))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in {0, len(shown) - 1} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def best(rows: Iterable[Row], arms: Sequence[str]) -> float:
    """The most pages a second among these arms; NaN where none ran."""
    return max((row.pages_per_s for row in rows if row.entry.arm in arms and row.taken), default=math.nan)


@dataclass(frozen=True)
class Check:
    """A goal, and what was measured."""

    goal: str
    measured: str
    reached: bool | None
    """None where what it needs did not run."""

    def __str__(self) -> str:
        """One line."""
        word = {True: "reached", False: "MISSED", None: "not run"}[self.reached]
        return f"{word:8} {self.goal}: {self.measured or '-'}"


def checks(rows: Sequence[Row], options: argparse.Namespace) -> Iterator[Check]:
    """The goals, one by one."""
    latency_s = options.latency_ms / 1000
    scans = [row for row in rows if row.entry.document == "scans" and row.entry.pages == options.pages]
    ours = [row for row in scans if row.entry.arm in OURS and row.taken]
    for in_flight in (16, 32):
        shares = {
            row.entry.arm: row.pages_per_s * latency_s / in_flight for row in ours if row.entry.in_flight == in_flight
        }
        rounds = math.ceil(options.pages / in_flight) * in_flight / options.pages
        yield _check(
            f"{LIMIT_SHARE} of the latency limit at {in_flight} in flight "
            f"({1 / rounds:.2f} would be whole rounds and no work at all)",
            shares, partial(_at_least, LIMIT_SHARE),
        )  # fmt: skip
    costs = {f"{row.entry.arm} {row.entry.in_flight}": row.cpu_ms for row in ours}
    yield _check(f"at most {CPU_MS:g} ms of CPU a page", costs, partial(_at_most, CPU_MS))
    for times, arms, name in (
        (TIMES_PLAIN, PLAIN, "the best plain loop over openai"),
        (TIMES_LOADERS, LOADERS, "the faster of the sequential PDF loaders"),
    ):
        other = best((row for row in rows if row.entry.document == "scans"), arms)
        ratios = {} if math.isnan(other) else {"best of 16 and 32": best(ours, OURS) / other} if ours else {}
        yield _check(f"{times:g} x {name}", ratios, partial(_at_least, times))
    for document in ("turned", "text"):
        yield from _render_checks([row for row in rows if row.entry.document == document], latency_s)
    yield _memory_check(rows, options)


def _render_checks(rows: Sequence[Row], latency_s: float) -> Iterator[Check]:
    drawn = next((row for row in rows if row.entry.arm == "render" and row.taken), None)
    if drawn is None or drawn.taken is None:
        return
    # The call of the page that is drawn last starts when all are drawn; and calls have a limit of their own.
    floor_s = drawn.taken.wall_s + latency_s
    ratios = {
        f"{row.entry.arm} {row.entry.in_flight}": row.taken.wall_s
        / max(floor_s, latency_s * row.entry.pages / row.entry.in_flight)
        for row in rows
        if row.entry.arm in OURS and row.taken
    }
    strict = ", ".join(
        f"{row.taken.wall_s / drawn.taken.wall_s:.2f}" for row in rows if row.entry.arm in OURS and row.taken
    )
    yield _check(
        f"{drawn.entry.document}: within {TIMES_FLOOR} x of drawing and encoding alone ({drawn.taken.wall_s:.2f} s) "
        f"and one latency (without the latency: {strict})",
        ratios, partial(_at_most, TIMES_FLOOR),
    )  # fmt: skip


def _memory_check(rows: Sequence[Row], options: argparse.Namespace) -> Check:
    peaks = {
        (row.entry.arm, row.entry.pages): row.taken.peak_rss_mb
        for row in rows
        if row.taken and row.entry.document == "scans" and row.entry.in_flight == 16
    }
    many = options.memory_pages
    ratios = {
        arm: peaks[arm, many] / peaks[arm, options.pages]
        for arm in OURS
        if (arm, many) in peaks and (arm, options.pages) in peaks and many
    }
    goal = f"peak memory at {many or 600} pages within {TIMES_MEMORY} x of that at {options.pages}"
    return _check(goal, ratios, partial(_at_most, TIMES_MEMORY))


def _at_least(least: float, value: float) -> bool:
    return value >= least


def _at_most(most: float, value: float) -> bool:
    return value <= most


def _check(goal: str, measured: dict[str, float], is_good: Callable[[float], bool]) -> Check:
    words = ", ".join(f"{name} {value:.2f}" for name, value in measured.items())
    return Check(goal, words, all(map(is_good, measured.values())) if measured else None)


# The command


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ingestion", description=__doc__)
    parser.add_argument("--pages", type=int, default=60, help="of each document (60)")
    parser.add_argument("--few-pages", type=int, default=6, help="for arms that read one page at a time (6)")
    parser.add_argument("--memory-pages", type=int, default=0, metavar="600", help="also read so many, for memory (0)")
    parser.add_argument("--latency-ms", type=float, default=300.0, help="of the endpoint (300)")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each arm; the fastest counts (2)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="all")
    parser.add_argument("--documents", nargs="+", choices=DOCUMENTS, default=list(DOCUMENTS), help="all")
    parser.add_argument(
        "--python", action="append", default=[], metavar="ARM=PATH", help="an interpreter for one arm's packages"
    )
    parser.add_argument("--profiles", type=Path, help="a folder for the main threads' profiles (.pstats)")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    return parser.parse_args(arguments)


def main() -> int:
    """Run, print, and judge where asked."""
    options = parse()
    chosen = [e for e in plan(options) if e.arm in options.arms and e.document in options.documents]
    interpreters = dict(pair.split("=", 1) for pair in options.python)
    if options.profiles:
        options.profiles.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ingestion-") as folder, endpoint(options.latency_ms) as origin:
        bench = Bench(Path(folder), origin, interpreters=interpreters, profiles=options.profiles)
        # In rounds, so that a neighbour who is busy for a while does not slow all runs of one arm.
        rounds = [[_told(bench.run(entry)) for entry in chosen] for _ in range(options.repeats)]
    rows = [max(runs, key=_speed) for runs in zip(*rounds, strict=True)]
    print(_machine(), end="\n\n")
    latency_s = options.latency_ms / 1000
    for document in options.documents:
        print(f"{document}, {options.latency_ms:g} ms latency")
        print(table([row for row in rows if row.entry.document == document], latency_s), end="\n\n")
    judged = list(checks(rows, options))
    print(*judged, sep="\n")
    return int(options.check and any(check.reached is False for check in judged))


def _told(row: Row) -> Row:
    entry = row.entry
    print(f"{entry.arm} {entry.document} {entry.in_flight}: {row.pages_per_s:.2f} {row.note}", file=sys.stderr)
    return row


def _speed(row: Row) -> float:
    """Below all others where pages are missing."""
    return row.pages_per_s if row.taken and not row.note else -1.0


def _machine() -> str:
    load = f", load {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs{load}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
