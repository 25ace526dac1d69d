"""`qwen-ocr read` over folders: interrupted, resumed, capped, with failures; the service is a double beside it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from langchain_qwen_ocr.cli import main
from langchain_qwen_ocr.cli.output import source_name
from langchain_qwen_ocr.errors import (
    AnswerError,
    AuthenticationError,
    BudgetError,
    EndpointError,
    ServiceUnavailableError,
    SourceError,
)
from langchain_qwen_ocr.testing import Reply, SentRequest, Step, StrictService, error_body, refused
from tests.readers import picture, shade_of, tiff


class Service:
    """A double behind a real connection; `answer` may be replaced."""

    def __init__(self) -> None:
        self.answer: Callable[[SentRequest], Step] = read_shade
        self.calls: list[int] = []
        """The shades that were sent."""
        double = StrictService(self._answer)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                url = f"http://127.0.0.1{self.path}"
                reply = double.handle_request(httpx2.Request("POST", url, headers=dict(self.headers), content=content))
                self.send_response(reply.status_code)
                for name in {"content-type", "content-length", "retry-after"} & set(reply.headers):
                    self.send_header(name, reply.headers[name])
                self.end_headers()
                self.wfile.write(reply.content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that is gone is what some tests are about."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def _answer(self, sent: SentRequest) -> Step:
        self.calls.append(shade_of(sent.pictures[0]))
        return self.answer(sent)


def read_shade(sent: SentRequest) -> str:
    """What is on a picture of one shade."""
    return f"shade {shade_of(sent.pictures[0])}"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service that the environment names."""
    one = Service()
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-0f1e2d3c4b5a6978")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", one.url)
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,))
    thread.start()
    yield one
    one.server.shutdown()
    thread.join()
    one.server.server_close()


def pictures(folder: Path, count: int) -> Path:
    """A folder with pictures of the shades 10, 20…"""
    folder.mkdir()
    for n in range(1, count + 1):
        (folder / f"扫描 {n:02}.png").write_bytes(picture(10 * n))
    return folder


def texts(out: Path) -> list[str]:
    """What was written, in order of names."""
    return [path.read_text(encoding="utf-8").strip() for path in sorted(out.glob("*.txt"))]


def held_up(service: Service, *, answered: int) -> tuple[threading.Event, threading.Event]:
    """Let the service answer some calls; the first event says that one waits, the second lets it have its answer."""
    waits, go_on = threading.Event(), threading.Event()

    def answer(sent: SentRequest) -> str:
        if len(service.calls) > answered:
            waits.set()
            go_on.wait(30)
        return read_shade(sent)

    service.answer = answer
    return waits, go_on


def started(*arguments: object) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "langchain_qwen_ocr.cli", "read", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> str:
    """Press Ctrl-C; the answer is what it said until it began to stop."""
    os.kill(process.pid, number)
    assert process.stderr is not None
    said = ""
    while "stopping" not in said:
        line = next(process.stderr)
        said += line
    return said


needs_ctrl_c = pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C for one process")


@needs_ctrl_c
def test_an_interrupted_run_goes_on_where_it_stopped(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Finished files are whole, calls under way are not lost, and the second run sends only what is missing."""
    scans, out = pictures(tmp_path / "scans", 12), tmp_path / "out"
    waits, go_on = held_up(service, answered=5)
    with started(scans, "--out", out, "--concurrency", 2) as process:
        assert waits.wait(30)
        interrupt(process)
        go_on.set()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume goes on from here" in said
    assert 0 < len(service.calls) < 12
    assert [re.fullmatch(r"shade \d+", text) is not None for text in texts(out)] == [True] * len(texts(out))
    assert list(out.glob("*.part")) == []

    assert main(["read", str(scans), "--out", str(out), "--resume"]) == 0
    assert texts(out) == [f"shade {10 * n}" for n in range(1, 13)]
    assert sorted(service.calls) == [10 * n for n in range(1, 13)]
    capsys.readouterr()


@needs_ctrl_c
def test_an_interrupted_run_prints_what_it_still_got(service: Service, tmp_path: Path) -> None:
    """Without a folder nothing is remembered, so the answer that was waited for must not be dropped."""
    scans = pictures(tmp_path / "scans", 6)
    waits, go_on = held_up(service, answered=0)
    with started(scans / "扫描 01.png", scans, "--concurrency", 1) as process:
        assert waits.wait(30)
        said = interrupt(process)
        go_on.set()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "calls under way are finished." in said
    assert out.startswith("shade 10\n")
    assert len(service.calls) < 7


@needs_ctrl_c
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_service_manager_ends_a_run_like_ctrl_c(name: str, service: Service, tmp_path: Path) -> None:
    """What is paid for is kept; the exit code says which signal it was."""
    number = getattr(signal, name)
    scans, out = pictures(tmp_path / "scans", 6), tmp_path / "out"
    waits, go_on = held_up(service, answered=1)
    with started(scans, "--out", out, "--concurrency", 2) as process:
        assert waits.wait(30)
        interrupt(process, number)
        go_on.set()
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert main(["read", str(scans), "--out", str(out), "--resume"]) == 0
    assert sorted(service.calls) == [10 * n for n in range(1, 7)]


def test_an_ignored_signal_stays_ignored(service: Service, tmp_path: Path) -> None:
    """A run that was started with nohup goes on when the terminal is gone."""
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        seen: list[object] = []

        def answer(sent: SentRequest) -> str:
            seen.append(signal.getsignal(signal.SIGINT))
            return read_shade(sent)

        service.answer = answer
        assert main(["read", str(pictures(tmp_path / "scans", 1))]) == 0
    finally:
        signal.signal(signal.SIGINT, usual)
    assert seen == [signal.SIG_IGN]


def test_a_service_that_is_gone_ends_the_run(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred thousand failures help nobody; what was read until then stays."""
    scans, out = pictures(tmp_path / "scans", 24), tmp_path / "out"
    gone = Reply(503, "gone", headers={"retry-after": "0"})
    service.answer = lambda sent: read_shade(sent) if shade_of(sent.pictures[0]) <= 20 else gone
    assert main(["read", str(scans), "--out", str(out), "--concurrency", "2"]) == ServiceUnavailableError.exit_code
    said = capsys.readouterr().err
    assert "20 pages in a row failed" in said
    assert "--resume goes on from here" in said
    assert texts(out) == ["shade 10", "shade 20"]


def test_a_missing_key_does_not_write_over_what_the_service_read(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cron job without the environment would replace paid answers by the embedded engine's."""
    scans, out = pictures(tmp_path / "scans", 1), tmp_path / "out"
    arguments = ["read", str(scans), "--out", str(out)]
    assert main(arguments) == 0
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    for more in ([], ["--resume"]):
        assert main([*arguments, *more]) == 2
        assert "there is no DASHSCOPE_API_KEY" in capsys.readouterr().err
    assert texts(out) == ["shade 10"]
    assert service.calls == [10]


@needs_ctrl_c
def test_the_second_interrupt_ends_at_once(service: Service, tmp_path: Path) -> None:
    """Nobody has to wait for a slow answer."""
    waits, go_on = held_up(service, answered=1)
    with started(pictures(tmp_path / "scans", 6), "--out", tmp_path / "out") as process:
        assert waits.wait(30)
        interrupt(process)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 130
    go_on.set()


def test_what_is_finished_is_not_opened_again(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A source that looks as it did is left alone; one that changed, or whose file is gone, is read again."""
    scans, out = pictures(tmp_path / "scans", 4), tmp_path / "out"
    arguments = ["read", str(scans), "--out", str(out)]
    assert main(arguments) == 0
    first, second, third, _ = sorted(scans.iterdir())
    seen = first.stat()
    first.write_bytes(b"x" * seen.st_size)
    os.utime(first, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    second.write_bytes(picture(250))
    (out / f"{third.name}.txt").unlink()
    capsys.readouterr()
    assert main([*arguments, "--resume"]) == 0
    assert "2 sources were finished before" in capsys.readouterr().err
    assert texts(out) == ["shade 10", "shade 250", "shade 30", "shade 40"]
    assert service.calls[4:] == [250]


def test_other_options_read_again(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was written with other pages or another form is not taken for this run's."""
    out = tmp_path / "out"
    arguments = ["read", str(tiff(tmp_path / "a.tiff", 3)), "--out", str(out), "--resume"]
    for more, written in (
        (["--pages", "1"], "shade 40\n"),
        (["--pages", "1-2"], "shade 40\n\nshade 60\n"),
        ([], "shade 40\n\nshade 60\n\nshade 80\n"),
    ):
        assert main([*arguments, *more]) == 0
        assert (out / "a.tiff.txt").read_text(encoding="utf-8") == written
    assert sorted(service.calls) == [40, 60, 80]
    capsys.readouterr()


def test_half_a_line_of_the_list_of_finished_files(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a killed run left of its list is no reason to stop."""
    scans, out = pictures(tmp_path / "scans", 2), tmp_path / "out"
    assert main(["read", str(scans), "--out", str(out)]) == 0
    (finished,) = out.glob(".qwen-ocr-finished*")
    finished.write_bytes(finished.read_bytes()[:-20] + b"\xff\n[1]\nnull\n")
    assert main(["read", str(scans), "--out", str(out), "--resume"]) == 0
    assert "1 sources were finished before" in capsys.readouterr().err
    assert len(service.calls) == 2


@pytest.mark.parametrize(
    ("answer", "arguments", "error"),
    [
        pytest.param(refused(), [], EndpointError, id="refused"),
        pytest.param("236,254,115,299,90", [], AnswerError, id="malformed"),
        pytest.param("text", ["--max-pages", "1", "--concurrency", "1"], BudgetError, id="capped"),
        pytest.param("text", ["--max-cost", "0"], BudgetError, id="no money"),
        pytest.param(Reply(401, error_body("invalid_api_key", "No.")), [], AuthenticationError, id="wrong key"),
    ],
)
def test_exit_codes_and_last_lines(
    *,
    service: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: Step,
    arguments: list[str],
    error: type[EndpointError],
) -> None:
    """The code is that of the first error; the last lines name every page that was not read."""
    service.answer = lambda _: answer
    path = tiff(tmp_path / "a.tiff", 3)
    assert main(["read", str(path), "--out", str(tmp_path / "out"), *arguments]) == error.exit_code
    err = capsys.readouterr().err
    if error is not AuthenticationError:
        read = 1 if "--max-pages" in arguments else 0
        named = [
            match for line in err.splitlines() if (match := re.match(r"  Pages? (\d)(?:-(\d))? of .*a\.tiff: ", line))
        ]
        assert sum(int(match[2] or match[1]) - int(match[1]) + 1 for match in named) == 3 - read


def test_a_source_that_gave_nothing_has_no_file(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty file would look like an empty page. One with a page missing says so; JSON says it itself."""
    scans, out = pictures(tmp_path / "scans", 1), tmp_path / "out"
    (scans / "broken.png").write_bytes(b"nothing")
    tiff(scans / "two of three.tiff", 3)
    service.answer = lambda sent: refused() if shade_of(sent.pictures[0]) == 60 else read_shade(sent)
    assert main(["read", str(scans), "--out", str(out)]) == SourceError.exit_code
    assert {path.name for path in out.glob("*.txt")} == {"two of three.tiff.txt", "扫描 01.png.txt"}
    err = capsys.readouterr().err
    assert "Wrote nothing of" in err
    assert "two of three.tiff.txt, without 1 of 3 pages" in err
    assert main(["read", str(scans), "--out", str(out), "--format", "json"]) == SourceError.exit_code
    assert len(list(out.glob("*.json"))) == 3
    capsys.readouterr()


def test_the_bar_shows_rate_cost_and_failures(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what is said beside it stands on lines of its own."""
    service.answer = lambda sent: refused() if shade_of(sent.pictures[0]) == 60 else read_shade(sent)
    path = tiff(tmp_path / "a.tiff", 3)
    main(["read", str(path), "--out", str(tmp_path / "out"), "--progress"])
    out, err = capsys.readouterr()
    assert re.search(r"3page \[.*page/s, 0\.0\d+ CNY, 1 failed\]", err)
    assert [line for line in re.split(r"[\r\n]+", err) if line.startswith("Wrote ")]
    assert out == ""


def test_a_file_in_the_place_of_the_folder(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, without a traceback and before anything is sent."""
    taken = tmp_path / "taken"
    taken.write_text("x", encoding="utf-8")
    assert main(["read", str(pictures(tmp_path / "scans", 1)), "--out", str(taken)]) == 2
    assert "taken" in capsys.readouterr().err
    assert service.calls == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("scans/a.png", "a.png"),
        (r"C:\Users\Änne\Scans\Quittung 1.png", "Quittung 1.png"),
        (r"\\server\share\扫描.tiff", "扫描.tiff"),
        ("C:/scans/a.png", "a.png"),
        ("https://example.com/a%20b.pdf?page=2", "a b.pdf"),
        ("https://example.com/a%2F..%2Fb.pdf", "b.pdf"),
        ("https://example.com/", "source"),
        ("-", "stdin"),
        ('a<b>:"c|d?e*.png', "a_b___c_d_e_.png"),
        ("nul.png", "_nul.png"),
        ("COM1", "_COM1"),
        ("console.png", "console.png"),
        ("name. ", "name"),
        ("..", "source"),
        ("扫" * 100 + ".png", "扫" * 66),
    ],
)
def test_names_that_are_good_on_every_system(source: str, name: str) -> None:
    """The last part of a path or an address, without what Windows refuses."""
    assert source_name(source) == name
