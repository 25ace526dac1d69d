"""`qwen-ocr`: reading from the command line.

Results go to standard output or to files, everything said to a person goes to standard error, and the exit code is
that of the first error (see `errors`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Self, get_args
from urllib.parse import urlsplit

from langchain_qwen_ocr.errors import OptionError, QwenOCRError, SourceError
from langchain_qwen_ocr.models import MODELS, REGIONS
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.task import PromptLanguage, Task

if TYPE_CHECKING:
    from langchain_qwen_ocr.engine import QwenOCR, Source
    from langchain_qwen_ocr.exchange import Reading
    from langchain_qwen_ocr.tasks.results import Result

_SUFFIXES = {
    "text": ".txt",
    "md": ".md",
    "json": ".json",
    "jsonl": ".jsonl",
    "html": ".html",
    "csv": ".csv",
    "latex": ".tex",
}
"""The forms results are written in, and the names their files end with."""
_BROKEN_PIPE = 141
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may know no Chinese
            stream.reconfigure(encoding="utf-8", errors="replace")
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except QwenOCRError as error:
        _say(f"qwen-ocr: {error}")
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        _say("qwen-ocr: interrupted")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qwen-ocr", description="Read pictures and scanned documents with Qwen-OCR.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    read = commands.add_parser("read", help="read pictures, PDFs, or standard input (-)")
    _add_read_options(read)
    read.set_defaults(run=_read)
    tasks = commands.add_parser("tasks", help="list the tasks")
    tasks.set_defaults(run=_list_tasks)
    models = commands.add_parser("models", help="list the models, their limits and prices")
    models.set_defaults(run=_list_models)
    return parser


def _add_read_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sources", nargs="+", metavar="FILE", help="a picture, a PDF, an https URL, or - for standard input"
    )
    parser.add_argument(
        "--task",
        choices=list(TASKS),
        default="text_recognition",
        metavar="TASK",
        help="one of: %(choices)s (default: %(default)s)",
    )
    parser.add_argument("--pages", help='such as "1-3,7,10-", counted from 1')
    parser.add_argument("--format", choices=list(_SUFFIXES), default="text", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write one file for each source there")
    parser.add_argument(
        "--draw",
        type=Path,
        metavar="FILE",
        help="save the page with a box round each piece of text (.png, .jpg or .svg)",
    )
    parser.add_argument("--together", action="store_true", help="all pages in one request, for fields and free prompts")
    _add_engine_options(parser)
    _add_task_options(parser)


def _add_engine_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=["service", "local"],
        help="default: the service when DASHSCOPE_API_KEY is set, otherwise the embedded engine on this machine",
    )
    group.add_argument("--model", help="default: the region's best stable one")
    group.add_argument("--region", choices=list(REGIONS), default="beijing")
    group.add_argument("--base-url", metavar="URL", help="another OpenAI-compatible address")
    group.add_argument("--min-pixels", type=int, metavar="PX2")
    group.add_argument("--max-pixels", type=int, metavar="PX2", help="lower it to pay less, raise it for small print")
    group.add_argument("--max-tokens", type=int, metavar="N")
    group.add_argument("--concurrency", type=int, metavar="N", help="calls in flight")


def _add_task_options(parser: argparse.ArgumentParser) -> None:
    """The options that the tasks in the table declare."""
    parser.add_argument("--prompt-language", choices=get_args(PromptLanguage), default="zh")
    added: set[str] = set()
    for task in TASKS.values():
        group = parser.add_argument_group(f"task {task.name}")
        for name, field in task.Arguments.model_fields.items():
            if name in added:
                continue
            added.add(name)
            flag, text = f"--{_flag(task, name)}", field.description or ""
            if field.annotation is bool:
                group.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, help=text)
            elif field.annotation is str:
                group.add_argument(flag, dest=name, help=text)
            else:
                group.add_argument(
                    flag, dest=name, metavar="JSON", type=_json, help=f"{text} JSON text, or a file with it."
                )


def _json(text: str) -> object:
    """The JSON value that *text* is, or that the file of that name holds."""
    try:
        if not text.lstrip().startswith(("{", "[", '"')):
            text = Path(text).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"neither JSON nor a file with JSON: {error}") from error


def _task(options: argparse.Namespace) -> Task[Result]:
    """The task the options ask for.

    Raises:
        OptionError: An option belongs to another task or lacks a value, or the task's results have no such form.
    """
    from pydantic import ValidationError

    task = TASKS[options.task]
    given = {name: value for name in _task_option_names() if (value := getattr(options, name)) is not None}
    foreign = [name for name in given if name not in task.Arguments.model_fields]
    if foreign:
        raise OptionError(f"Task {task.name} takes no {', '.join(foreign)}; see qwen-ocr read --help.")
    forms = {*task.result_type().forms, "json", "jsonl"}
    if options.format not in forms:
        known = ", ".join(form for form in _SUFFIXES if form in forms)
        raise OptionError(f"Task {task.name} has no form {options.format!r}; choose one of {known}.")
    try:
        made = task.from_arguments(task.Arguments(**given))
    except ValidationError as error:
        wrong = "; ".join(f"--{_flag(task, str(e['loc'][0]))}: {e['msg']}" for e in error.errors())
        raise OptionError(f"Task {task.name}: {wrong}") from error
    return dataclasses.replace(made, prompt_language=options.prompt_language)


def _engine(options: argparse.Namespace) -> QwenOCR:
    """The reader the options ask for; says on standard error where pictures go, before they go."""
    from langchain_qwen_ocr.engine import QwenOCR

    chosen = {
        "min_pixels": options.min_pixels,
        "max_pixels": options.max_pixels,
        "max_tokens": options.max_tokens,
        "max_concurrency": options.concurrency,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    engine = options.engine or ("service" if os.environ.get("DASHSCOPE_API_KEY") else "local")
    if engine == "local":
        why = "" if options.engine else " (there is no DASHSCOPE_API_KEY)"
        _say(f"Reading on this machine with the embedded engine{why}; nothing is sent anywhere.")
        return QwenOCR.local(**chosen)
    ocr = QwenOCR(options.model, region=options.region, base_url=options.base_url, **chosen)
    _say(f"Sending pictures to {ocr.host} ({ocr.region}), model {ocr.model}.")
    return ocr


def _read(options: argparse.Namespace) -> int:
    task = _task(options)
    output = _Folder(options.out, options.format) if options.out else _StandardOutput(options.format)
    exit_codes: list[int] = []
    with _engine(options) as ocr, output:
        for name in options.sources:
            source = sys.stdin.buffer.read() if name == "-" else name
            try:
                readings = ocr.read(source, task, pages=options.pages, together=options.together)
                for reading in readings:
                    _report(reading)
                    exit_codes.extend([] if reading.error is None else [reading.error.exit_code])
                    output.add(name, reading)
                    if options.draw is not None and reading.regions:
                        _draw(source, reading, options.draw)
            except SourceError as error:
                _say(f"qwen-ocr: {error}")
                exit_codes.append(error.exit_code)
    return next(iter(exit_codes), 0)


def _report(reading: Reading[Result]) -> None:
    """What a person should know about a page, on standard error."""
    page = f"Page {reading.page_number} of {reading.source}"
    if reading.outcome != "ok":
        _say(f"{page}: {reading.outcome}")
    for warning in reading.warnings:
        _say(warning if warning.startswith("Page ") else f"{page}: {warning}")


def _written(reading: Reading[Result], form: str) -> str:
    if form in {"json", "jsonl"}:
        return json.dumps(reading.to_dict(), ensure_ascii=False, indent=2 if form == "json" else None)
    return reading.result.render(form) if reading.result is not None else ""


def _joined(written: Sequence[str], form: str) -> str:
    """The pages of one source as the text of one file."""
    if form == "json":
        return "[\n" + ",\n".join(written) + "\n]\n"
    between = "\n" if form == "jsonl" else "\n\n"
    return between.join(page.rstrip("\n") for page in written if page) + "\n"


def _draw(source: Source, reading: Reading[Result], path: Path) -> None:
    """Save the page with its regions; of several pages, each under a name of its own."""
    from langchain_qwen_ocr.draw import draw_regions, regions_to_svg
    from langchain_qwen_ocr.pages import open_pages

    assert reading.size_px is not None, "a reading with regions has a page"
    path = _numbered(path, reading)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".svg":
        path.write_text(regions_to_svg(reading.regions, reading.size_px), encoding="utf-8")
    else:
        with closing(open_pages(source, pages=str(reading.page_number))) as pages:
            draw_regions(next(pages), reading.regions, size_px=reading.size_px).save(path)
    _say(f"Drew {path}")


def _numbered(path: Path, reading: Reading[Result]) -> Path:
    if reading.total_pages == 1:
        return path
    return path.with_name(f"{path.stem}-{reading.page_number}{path.suffix}")


class _StandardOutput:
    """Writes each page as soon as it is there; JSON as one array."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._pages = 0

    def add(self, _: str, reading: Reading[Result]) -> None:
        text = _written(reading, self._form).rstrip("\n")
        if not text:
            return
        before = {"json": ",\n" if self._pages else "[\n", "jsonl": ""}.get(self._form, "\n" if self._pages else "")
        sys.stdout.write(before + text + ("" if self._form == "json" else "\n"))
        sys.stdout.flush()
        self._pages += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._form == "json":
            sys.stdout.write("\n]\n" if self._pages else "[]\n")


class _Folder:
    """Writes one file for each source, complete or not at all."""

    def __init__(self, folder: Path, form: str) -> None:
        self._folder, self._form = folder, form
        self._pages: dict[str, list[str]] = {}

    def add(self, name: str, reading: Reading[Result]) -> None:
        self._pages.setdefault(name, []).append(_written(reading, self._form))

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for name, pages in self._pages.items():
            path = self._folder / f"{_file_stem(name)}{_SUFFIXES[self._form]}"
            path.write_text(_joined(pages, self._form), encoding="utf-8", newline="\n")
            _say(f"Wrote {path}")


def _file_stem(name: str) -> str:
    """A file name for a source, with its own ending kept so that a.jpg and a.png do not meet."""
    return "stdin" if name == "-" else (Path(urlsplit(name).path if "://" in name else name).name or "source")


def _list_tasks(_: argparse.Namespace) -> int:
    for task in TASKS.values():
        sys.stdout.write(f"{task.name}\n    {task.description().splitlines()[0]}\n")
        for name, field in task.Arguments.model_fields.items():
            sys.stdout.write(f"    --{_flag(task, name)}: {field.description}\n")
        sys.stdout.write(f"    forms: {', '.join(task.result_type().forms)}\n")
    return 0


def _list_models(_: argparse.Namespace) -> int:
    for model in MODELS:
        sys.stdout.write(
            f"{model.name}\n    regions: {', '.join(model.regions)}; answers up to {model.max_output_tokens} tokens\n"
        )
        for region in model.regions:
            price = model.price(region)
            if price is not None:
                sys.stdout.write(
                    f"    {region}: {price.per_million_input} {price.currency} a million tokens in, "
                    f"{price.per_million_output} out (since {price.since})\n"
                )
    return 0


def _task_option_names() -> list[str]:
    return list(dict.fromkeys(name for task in TASKS.values() for name in task.Arguments.model_fields))


def _flag(task: type[Task[Result]], name: str) -> str:
    """The option that an argument is on the command line: its own name, unless it declares a `flag`."""
    extra = task.Arguments.model_fields[name].json_schema_extra
    declared = extra.get("flag") if isinstance(extra, dict) else None
    return str(declared or name.replace("_", "-"))


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
