"""What the commands do."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_qwen_ocr.cli.finished import Finished
from langchain_qwen_ocr.cli.output import Folder, Output, StandardOutput, make_folder, say, source_name
from langchain_qwen_ocr.errors import OptionError, ServiceUnavailableError, SourceError
from langchain_qwen_ocr.models import MODELS, ModelProfile, Price
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.advanced_recognition import AdvancedRecognition

if TYPE_CHECKING:
    from tqdm import tqdm

    from langchain_qwen_ocr.engine import QwenOCR
    from langchain_qwen_ocr.exchange import Reading
    from langchain_qwen_ocr.report import Tally
    from langchain_qwen_ocr.tasks.results import Result
    from langchain_qwen_ocr.tasks.task import Task

SIGNALLED = 128
"""The exit code after a signal is this and its number, as shells have it: 130 after Ctrl-C."""


def read(options: argparse.Namespace, task: Task[Result], ocr: QwenOCR) -> int:
    """Read the sources; exit with the code of the first error."""
    from langchain_qwen_ocr.report import Tally

    exit_code, tally, outage, complete = 0, Tally(), _Outage(ocr.max_concurrency), False
    bar = _bar() if _shows_progress(options) else None
    finished = _finished(options, ocr)
    output: Output = (
        Folder(options.out, options.format, finished, partial(bar.write, file=sys.stderr) if bar is not None else say)
        if finished is not None
        else StandardOutput(options.format)
    )
    drawings = _Drawings(options.draw, options.sources)
    try:
        remembers = bool(options.out or options.cache)
        with (
            _Interrupts(ocr, remembers=remembers) as interrupts,
            ocr,
            closing(_Readings(ocr, task, options, finished)) as readings,
        ):
            for name, source, reading in readings:
                interrupts.check(reading)
                outage.check(reading)
                tally.add(reading)
                exit_code = exit_code or (0 if reading.error is None else reading.error.exit_code)
                output.add(name, reading)
                drawings.add(source, reading)
                _show(bar, tally) if bar is not None else _tell(reading)
        complete = True
    finally:
        output.close(complete=complete)
        if bar is not None:
            bar.close()
        report = tally.report()
        if finished is not None and finished.skipped:
            say(f"{finished.skipped} sources were finished before; their files stay as they are.")
        if options.out or report.total_pages > 1:
            say(str(report))
            if len(report.failures) > _MANY_FAILURES:
                say(report.summary)
        if complete:
            drawings.close(task)
    return exit_code


_ENDS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What ends a run: Ctrl-C, a service manager, a terminal that is gone."""
_DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)


class _Interrupts:
    """Ctrl-C and its like let calls under way come to their end, since they are paid for; a second one does not.

    Python would raise KeyboardInterrupt anywhere, half-way through a file too; here that happens between two pages.
    Where a signal is ignored, or somebody else's, it stays so.
    """

    def __init__(self, ocr: QwenOCR, *, remembers: bool) -> None:
        self._ocr = ocr
        self._words = "finished and remembered" if remembers else "finished"
        self._closer: threading.Thread | None = None
        self._usual: dict[int, Any] = {}
        self._signal = signal.SIGINT

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            usual = {
                getattr(signal, name): signal.getsignal(getattr(signal, name))
                for name in _ENDS
                if hasattr(signal, name)
            }
            self._usual = {n: handler for n, handler in usual.items() if handler in _DEFAULTS}
        for number in self._usual:
            signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def check(self, reading: Reading[Any]) -> None:
        """Go no further than to the first page that was not sent any more.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, and this is the page.
        """
        if self._closer is not None and reading.outcome == "failed" and not reading.attempts:
            raise KeyboardInterrupt(self._signal)

    def _interrupt(self, number: int, _: object) -> None:
        if self._closer is not None:
            os._exit(SIGNALLED + number)
        self._signal = signal.Signals(number)
        # The thread that was interrupted may hold any lock, also that of standard error.
        self._closer = threading.Thread(target=self._ocr.close)
        words = f"qwen-ocr: stopping; calls under way are {self._words}. Ctrl-C again ends at once.\n"
        os.write(2, words.encode())
        self._closer.start()


class _Outage:
    """Ends a run when the service is gone: a day of failures is no better than an hour of them."""

    def __init__(self, in_flight: int) -> None:
        self._most = max(20, 2 * in_flight)
        self._failed = 0

    def check(self, reading: Reading[Any]) -> None:
        """Count pages that failed one after the other for reasons of the service.

        Raises:
            ServiceUnavailableError: They are too many to be chance.
        """
        self._failed = self._failed + 1 if isinstance(reading.error, ServiceUnavailableError) else 0
        if self._failed >= self._most:
            raise ServiceUnavailableError(
                f"{self._failed} pages in a row failed, the last one so: {reading.error} Nothing more is sent. When "
                "the service is back, the same command with --out and --resume goes on from here."
            )


_MATTERS_NOT = {
    *("sources", "out", "resume", "cache", "progress", "run"),
    *("concurrency", "max_pages", "max_cost", "password"),
}
"""Options that what is written of a source does not depend on."""


def _finished(options: argparse.Namespace, ocr: QwenOCR) -> Finished | None:
    """The list of what is finished in the output folder; None without one.

    Raises:
        OptionError: The folder cannot be made, or holds what the service read and only the key is missing.
    """
    if options.out is None:
        return None
    make_folder(options.out)
    reader = f"{ocr.model} at {ocr.host}"
    if ocr.is_local and not options.engine and (others := Finished.readers(options.out) - {reader}):
        raise OptionError(
            f"--out {options.out} holds what {', '.join(sorted(others))} read, and there is no DASHSCOPE_API_KEY. Set "
            "it to go on; or say --engine local, and all of it is read again by the embedded engine and written over."
        )
    facts = {name: str(value) for name, value in vars(options).items() if name not in _MATTERS_NOT}
    facts |= {"model": ocr.model, "base_url": ocr.base_url}
    how = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return Finished(options.out, how, reader=reader, resume=options.resume)


_MANY_FAILURES = 20
"""After so many lines the totals are said once more."""


class _Readings:
    """The readings of all sources, each with its source's name and the source itself."""

    def __init__(
        self, ocr: QwenOCR, task: Task[Result], options: argparse.Namespace, finished: Finished | None
    ) -> None:
        self._ocr, self._task, self._options = ocr, task, options
        # What is drawn, or asked about together, is opened all the same.
        self._finished = None if options.draw is not None or options.together else finished
        self._iterators: list[Any] = []

    def __iter__(self) -> Iterator[tuple[str, Any, Reading[Result]]]:
        from langchain_qwen_ocr.loaders.sources import Sources, expand

        named = [(name, sys.stdin.buffer.read() if name == "-" else name) for name in self._options.sources]
        groups = [[source] for source in named] if self._options.together else [named]
        for group in groups:
            # One call for all sources, so that the last page of one and the first of the next are in flight together.
            single = expand([source for _, source in group])
            sources = Sources(single if self._finished is None else self._finished.unfinished(single))
            for reading in self._read(sources):
                sources.origin_of(reading)
                name = "-" if reading.source == "bytes" else reading.source
                yield name, dict(group).get(name, name), reading

    def _read(self, sources: Any) -> Iterator[Reading[Result]]:  # noqa: ANN401 - an iterable of any sources
        readings = self._ocr.read(
            sources,
            self._task,
            pages=self._options.pages,
            together=self._options.together,
            password=self._options.password,
        )
        self._iterators.append(readings)
        return readings

    def close(self) -> None:
        """Stop what is in flight."""
        for iterator in self._iterators:
            iterator.close()


def _tell(reading: Reading[Result]) -> None:
    """What a person should know about a page; that a cap left it out is said once, at the end."""
    if reading.outcome == "skipped":
        return
    page = f"Page {reading.page_number} of {reading.source}"
    if reading.outcome != "ok" and not (reading.outcome == "failed" and reading.warnings):
        say(f"{page}: {reading.outcome}")  # of what failed, the reason follows and is enough
    for warning in reading.warnings:
        say(warning if warning.startswith("Page ") else f"{page}: {warning}")


def _shows_progress(options: argparse.Namespace) -> bool:
    if options.progress is not None:
        return bool(options.progress)
    return options.out is not None and sys.stderr.isatty()


def _bar() -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(unit="page", desc="qwen-ocr", file=sys.stderr)


def _show(bar: tqdm[Any], tally: Tally) -> None:
    cost = f"{tally.usage.cost:f} {tally.usage.currency}, " if tally.usage.cost is not None else ""
    bar.set_postfix_str(f"{cost}{tally.failed_pages} failed", refresh=False)
    bar.update(tally.total_pages - bar.n)


class _Drawings:
    """Saves pages with their regions, each under a name of its own."""

    def __init__(self, path: Path | None, sources: Sequence[str]) -> None:
        self._path = path
        self._several = len(sources) > 1 or not (sources[0] == "-" or "://" in sources[0] or Path(sources[0]).is_file())
        self._taken: set[Path] = set()

    def add(self, source: Any, reading: Reading[Result]) -> None:  # noqa: ANN401 - any source
        """Save the page, if it has regions."""
        if self._path is None or not reading.regions:
            return
        path = self._free(self._path, reading)
        _draw(source, reading, path)
        say(f"Drew {path}")

    def close(self, task: Task[Result]) -> None:
        """Say so when there was nothing to draw."""
        if self._path is not None and not self._taken:
            say(f"Drew nothing: task {task.name} found no places. --task {AdvancedRecognition.name} finds each line's.")

    def _free(self, path: Path, reading: Reading[Result]) -> Path:
        source = f"-{source_name(reading.source)}" if self._several else ""
        page = "" if reading.total_pages == 1 else f"-{reading.page_number}"
        names = (f"{path.stem}{source}{page}{again}{path.suffix}" for again in _agains())
        free = next(named for name in names if (named := path.with_name(name)) not in self._taken)
        self._taken.add(free)
        return free


def _agains() -> Iterator[str]:
    """What is added to a name: nothing, then numbers, for files of one name in several folders."""
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))


def _draw(source: Any, reading: Reading[Result], path: Path) -> None:  # noqa: ANN401 - any source
    from langchain_qwen_ocr.draw import draw_regions, regions_to_svg
    from langchain_qwen_ocr.pages import open_pages

    assert reading.size_px is not None, "a reading with regions has a page"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".svg":
        path.write_text(regions_to_svg(reading.regions, reading.size_px), encoding="utf-8")
    else:
        page = next(open_pages(source, pages=str(reading.page_number)))
        draw_regions(page, reading.regions, size_px=reading.size_px).save(path)


def estimate(options: argparse.Namespace, task: Task[Result], ocr: QwenOCR) -> int:
    """Say what reading would cost; exit like reading when a source cannot be read."""
    from langchain_qwen_ocr.loaders.sources import Sources

    with ocr:
        expected = ocr.estimate(Sources(options.sources), task, pages=options.pages, password=options.password)
    if options.json:
        _print_json(expected.to_dict())
    else:
        print(expected)
    return SourceError.exit_code if expected.unreadable else 0


def interpret_answers(options: argparse.Namespace) -> int:
    """Read saved answers as the pipeline would, and print the table: file, outcome, what was found, warnings."""
    from langchain_qwen_ocr.cli.saved_answers import read_saved

    width, _, height = options.size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise OptionError(f"--size is WIDTHxHEIGHT in px, such as 1240x1754, not {options.size!r}.")
    rows = list(read_saved(options.answers, task=options.task, model=options.model, size=(int(width), int(height))))
    if options.json:
        for _, reading in rows:
            _print_json(reading.to_dict(), indent=None)
        return 0
    widest = max((len(path.name) for path, _ in rows), default=0)
    for path, reading in rows:
        warnings = "; ".join(reading.warnings)
        print(f"{path.name:{widest}}  {reading.outcome:9}  {len(reading.text):5} characters  {warnings}".rstrip())
    return 0


def serve(options: argparse.Namespace) -> int:
    """Answer requests until interrupted."""
    from langchain_qwen_ocr.local.server import serve as serve_local

    # With port 0 only the server knows where it listens; it says so itself.
    address = (
        f"http://{options.host}:{options.port}/v1" if options.port else f"a free port of {options.host}, under /v1"
    )
    say(f"Serving the embedded engine at {address}\nPictures as data URLs only; Ctrl-C ends it.")
    serve_local(host=options.host, port=options.port)
    return 0


def list_tasks(options: argparse.Namespace) -> int:
    """Print the tasks, their arguments and the forms of their results."""
    if options.json:
        _print_json(
            [
                {
                    "name": task.name,
                    "description": task.description(),
                    "arguments": task.Arguments.model_json_schema(),
                    "forms": list(task.result_type().forms),
                }
                for task in TASKS.values()
            ]
        )
        return 0
    for task in TASKS.values():
        print(f"{task.name}\n    {task.description().splitlines()[0]}")
        for name, field in task.Arguments.model_fields.items():
            print(f"    --{task.flags.get(name, name.replace('_', '-'))}: {field.description}")
        print(f"    forms: {', '.join(task.result_type().forms)}")
    return 0


def list_models(options: argparse.Namespace) -> int:
    """Print the models, their limits and what they cost today."""
    if options.json:
        _print_json([_model_row(model) for model in MODELS])
        return 0
    for model in MODELS:
        print(f"{model.name}\n    {', '.join(model.regions)}; answers up to {model.max_output_tokens} tokens")
        for price in _prices(model):
            print(
                f"    {price.region}: {price.per_million_input} {price.currency} a million tokens in, "
                f"{price.per_million_output} out (since {price.since})"
            )
    return 0


def _prices(model: ModelProfile) -> list[Price]:
    return [price for region in model.regions if (price := model.price(region)) is not None]


def _model_row(model: ModelProfile) -> dict[str, Any]:
    return {
        "name": model.name,
        "regions": model.regions,
        "max_output_tokens": model.max_output_tokens,
        "max_pixels": model.max_pixels,
        "prices": [dataclasses.asdict(price) for price in _prices(model)],
    }


def _print_json(value: Any, *, indent: int | None = 2) -> None:  # noqa: ANN401 - JSON
    print(json.dumps(value, ensure_ascii=False, indent=indent, default=str))
