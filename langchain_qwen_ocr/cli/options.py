"""What the command line takes: commands, and options made from the table of tasks."""

from __future__ import annotations

import argparse
import json
import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from langchain_qwen_ocr.cli import commands
from langchain_qwen_ocr.cli.output import SUFFIXES, make_folder, say
from langchain_qwen_ocr.errors import AuthenticationError, OptionError
from langchain_qwen_ocr.models import REGIONS
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.task import PromptLanguage, Task

if TYPE_CHECKING:
    from langchain_qwen_ocr.engine import QwenOCR
    from langchain_qwen_ocr.tasks.results import Result

CACHE_NAME = ".qwen-ocr-cache.sqlite"
"""What `--out` keeps beside the files, so that an interrupted run goes on without paying twice."""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; `options.run(options)` carries one out."""
    made = argparse.ArgumentParser(prog="qwen-ocr", description="Read pictures and scanned documents with Qwen-OCR.")
    made.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = made.add_subparsers(required=True, metavar="COMMAND")

    read = subparsers.add_parser("read", help="read pictures, PDFs, folders, or standard input (-)")
    _add_sources(read)
    _add_output(read)
    _add_engine(read)
    _add_caps(read)
    _add_task(read)
    read.set_defaults(run=lambda options: commands.read(options, task_of(options), engine_of(options)))

    estimate = subparsers.add_parser("estimate", help="say what reading would cost, without sending anything")
    _add_sources(estimate)
    _add_engine(estimate)
    _add_task(estimate)
    estimate.add_argument("--json", action="store_true", help="for scripts")
    estimate.set_defaults(
        run=lambda options: commands.estimate(options, task_of(options), estimating_engine_of(options))
    )

    interpret = subparsers.add_parser("interpret", help="read saved answers of the model, without a call")
    interpret.add_argument(
        "answers", nargs="+", type=Path, metavar="FILE", help="an answer's text, a response body, or a folder of these"
    )
    interpret.add_argument(
        "--task", choices=list(TASKS), metavar="TASK", help="default: what a file's name begins with"
    )
    interpret.add_argument(
        "--size", default="1000x1000", metavar="WxH", help="the picture's size in px (default: %(default)s)"
    )
    interpret.add_argument(
        "--model", default="qwen-vl-ocr-latest", help="what kind of model answered (default: %(default)s)"
    )
    interpret.add_argument("--json", action="store_true", help="whole readings, one a line")
    interpret.set_defaults(run=commands.interpret_answers)

    serve = subparsers.add_parser("serve", help="offer the embedded engine as an OpenAI-compatible server")
    serve.add_argument("--host", default="127.0.0.1", help="default: this machine only")
    serve.add_argument("--port", type=int, default=8765, help="default: %(default)s; 0 for any free one")
    serve.set_defaults(run=commands.serve)

    for name, run, words in (
        ("tasks", commands.list_tasks, "list the tasks"),
        ("models", commands.list_models, "list the models, their limits and prices"),
    ):
        listing = subparsers.add_parser(name, help=words)
        listing.add_argument("--json", action="store_true", help="for scripts")
        listing.set_defaults(run=run)
    return made


class _Version(argparse.Action):
    """Prints the version, which is looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"{parser.prog} {version('langchain-qwen-ocr')}")
        parser.exit()


def task_of(options: argparse.Namespace) -> Task[Result]:
    """The task the options ask for.

    Raises:
        OptionError: An option belongs to another task or lacks a value, or the task's results have no such form.
    """
    from pydantic import ValidationError

    if getattr(options, "resume", False) and options.out is None:
        raise OptionError("--resume goes on where an earlier run with --out stopped: give its --out.")
    task = TASKS[options.task]
    given = {name: value for name in _argument_names() if (value := getattr(options, name)) is not None}
    foreign = [f"--{_flag(name)}" for name in given if name not in task.Arguments.model_fields]
    if foreign:
        raise OptionError(f"Task {task.name} takes no {', '.join(foreign)}; see qwen-ocr tasks.")
    form = getattr(options, "format", "text")
    forms = {*task.result_type().forms, "json", "jsonl"}
    if form not in forms:
        known = ", ".join(known for known in SUFFIXES if known in forms)
        raise OptionError(f"Task {task.name} has no form {form!r}; choose one of {known}.")
    try:
        return task.from_arguments(task.Arguments(**given), prompt_language=options.prompt_language)
    except ValidationError as error:
        wrong = "; ".join(f"--{_flag(str(e['loc'][0]))}: {e['msg']}" for e in error.errors())
        raise OptionError(f"Task {task.name}: {wrong}") from error


def engine_of(options: argparse.Namespace) -> QwenOCR:
    """The reader the options ask for; says on standard error where pictures go, before they go.

    Raises:
        AuthenticationError: The service is asked for, and there is no key.
        OptionError: An option cannot work.
    """
    from langchain_qwen_ocr.engine import QwenOCR
    from langchain_qwen_ocr.policies import Budget

    chosen = {
        "min_pixels": options.min_pixels,
        "max_pixels": options.max_pixels,
        "max_tokens": options.max_tokens,
        "max_concurrency": options.concurrency,
        "cache": _cache(options),
        "text_layer": "trust" if options.text_layer else None,
        "auto_orient": options.auto_orient or None,
        "tiles": options.tiles or None,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if not _uses_service(options):
        why = "" if options.engine else " (there is no DASHSCOPE_API_KEY)"
        say(f"Reading on this machine with the embedded engine{why}; nothing is sent anywhere.")
        return QwenOCR.local(**chosen, budget=Budget(max_pages=options.max_pages))
    if not os.environ.get("DASHSCOPE_API_KEY"):
        raise AuthenticationError("Set DASHSCOPE_API_KEY to use the service; --engine local reads without a key.")
    budget = Budget(max_pages=options.max_pages, max_cost=options.max_cost)
    ocr = QwenOCR(options.model, region=options.region, base_url=options.base_url, budget=budget, **chosen)
    say(f"Sending pictures to {ocr.host} ({ocr.region}), model {ocr.model}.")
    return ocr


def estimating_engine_of(options: argparse.Namespace) -> QwenOCR:
    """A reader that only counts: it needs no key and sends nothing."""
    from langchain_qwen_ocr.engine import QwenOCR

    return QwenOCR(
        options.model,
        api_key="sk-not-used",
        region=options.region,
        min_pixels=options.min_pixels,
        max_pixels=options.max_pixels,
        max_tokens=options.max_tokens,
    )


def _uses_service(options: argparse.Namespace) -> bool:
    return bool((options.engine or ("service" if os.environ.get("DASHSCOPE_API_KEY") else "local")) == "service")


def _cache(options: argparse.Namespace) -> Path | None:
    """The cache file beside the output; it stays, with or without `--resume`: nothing is paid for twice by mistake."""
    if options.cache is not None or options.out is None:
        return options.cache if options.cache is None else Path(options.cache)
    path = Path(options.out) / CACHE_NAME
    make_folder(path.parent)
    return path


def _add_sources(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "sources",
        nargs="+",
        metavar="FILE",
        help="a picture, a PDF, a folder, an https address, or - for standard input",
    )
    made.add_argument(
        "--task",
        choices=list(TASKS),
        default="text_recognition",
        metavar="TASK",
        help="one of %(choices)s (default: %(default)s)",
    )
    made.add_argument("--pages", help='such as "1-3,7,10-", counted from 1')
    made.add_argument("--password", help="of encrypted PDFs")


def _add_output(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("output")
    group.add_argument(
        "--format",
        type=lambda form: "text" if form == "txt" else form,
        choices=list(SUFFIXES),
        default="text",
        help="default: %(default)s",
    )
    group.add_argument(
        "--json",
        action="store_const",
        const="jsonl",
        dest="format",
        help="whole readings, one a line; the same as --format jsonl",
    )
    group.add_argument("--out", type=Path, metavar="DIR", help="write one file for each source there")
    group.add_argument(
        "--resume",
        action="store_true",
        help="with --out: go on where an earlier run stopped; finished sources that have not changed are left alone. "
        f"(Answers are never paid for twice: delete DIR/{CACHE_NAME} to ask anew.)",
    )
    group.add_argument("--cache", metavar="FILE", help="remember answers in this file")
    group.add_argument(
        "--draw", type=Path, metavar="FILE", help="save pages with a box round each piece of text (.png, .jpg, .svg)"
    )
    group.add_argument(
        "--together", action="store_true", help="all pages of a source in one request, for fields and free prompts"
    )
    group.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, help="a progress bar (default: on a terminal, with --out)"
    )


def _add_engine(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=["service", "local"],
        help="default: the service when DASHSCOPE_API_KEY is set, otherwise the embedded engine on this machine",
    )
    group.add_argument("--model", help="default: the region's best stable one")
    group.add_argument("--region", choices=list(REGIONS), default="beijing", help="default: %(default)s")
    group.add_argument("--base-url", metavar="URL", help="another OpenAI-compatible address")
    group.add_argument("--min-pixels", type=int, metavar="PX2", help="the least area a picture is seen at")
    group.add_argument("--max-pixels", type=int, metavar="PX2", help="the largest; lower it to pay less")
    group.add_argument("--max-tokens", type=int, metavar="N", help="the longest answer")


def _add_caps(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("how far and how")
    group.add_argument("--max-pages", type=int, metavar="N", help="send no more pages than this")
    group.add_argument(
        "--max-cost", type=_money, metavar="AMOUNT", help="send nothing that would pass this, in the region's currency"
    )
    group.add_argument("--concurrency", type=int, metavar="N", help="calls in flight")
    group.add_argument(
        "--text-layer",
        action="store_true",
        help="take a PDF page's embedded text where it can be trusted, free of charge",
    )
    group.add_argument("--auto-orient", action="store_true", help="turn pages upright first")
    group.add_argument("--tiles", action="store_true", help="read pages too large for one look in parts")


def _add_task(made: argparse.ArgumentParser) -> None:
    """The options that the tasks in the table declare."""
    made.add_argument(
        "--prompt-language",
        choices=get_args(PromptLanguage),
        default="zh",
        help="of the vendor's prompts (default: %(default)s)",
    )
    added: set[str] = set()
    for task in TASKS.values():
        group = made.add_argument_group(f"task {task.name}")
        for name, field in task.Arguments.model_fields.items():
            if name in added:
                continue
            added.add(name)
            flag, words = f"--{_flag(name)}", (field.description or "").replace("%", "%%")
            if field.annotation is bool:
                group.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, help=words)
            elif field.annotation is str:
                group.add_argument(flag, dest=name, help=words)
            else:
                group.add_argument(
                    flag, dest=name, metavar="JSON", type=_json, help=f"{words} JSON text, or a file with it."
                )


def _argument_names() -> list[str]:
    return list(dict.fromkeys(name for task in TASKS.values() for name in task.Arguments.model_fields))


def _flag(name: str) -> str:
    """The option that an argument is, without its dashes."""
    declared = (task.flags[name] for task in TASKS.values() if name in task.flags)
    return next(declared, name.replace("_", "-"))


def _json(text: str) -> Any:  # noqa: ANN401 - JSON
    """The JSON value that *text* is, or that the file of that name holds."""
    try:
        if not text.lstrip().startswith(("{", "[", '"')):
            text = Path(text).read_text(encoding="utf-8-sig")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"neither JSON nor a file with JSON: {error}") from error


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite():
        raise argparse.ArgumentTypeError(f"not an amount: {text}")
    return amount
