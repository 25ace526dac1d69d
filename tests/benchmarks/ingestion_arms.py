"""The ways to read a PDF that are compared, each run by itself in a fresh process.

`python -m tests.benchmarks.ingestion_arms NAME JOB`, with the job as JSON, prints what it took as JSON. An arm reads
a document of one page first, so that neither imports nor the first connection count; then the watch is started, and
the document is opened. Everything but the standard library is imported by the arm that needs it, so that an arm also
runs under an interpreter that has that arm's packages alone.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import os
import sys
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from langchain_qwen_ocr import QwenOCR
    from langchain_qwen_ocr.pages import Page

MODEL = "qwen3.5-ocr"
PROMPT = "Read all the text in the image."
RENDER_DPI = 200
JPEG_QUALITY = 85
LITELLM_MODEL = "openai/gpt-4o"
"""py-zerox asks litellm whether a model sees pictures, and litellm knows this one; the endpoint answers to any."""
NOT_INSTALLED = 3
"""The exit code of an arm whose packages are missing."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What an arm is to do."""

    document: str
    warm_up: str
    """A document of one page."""
    origin: str
    """Of the endpoint, such as "http://127.0.0.1:4000"."""
    in_flight: int
    profile: str | None = None
    """Where to leave what cProfile saw; None to run without it."""

    @property
    def base_url(self) -> str:
        """What clients are given."""
        return f"{self.origin}/v1"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What it took."""

    pages: int
    wall_s: float
    """From opening the document to the last page."""
    cpu_s: float
    """User and system time of the process and of programs it ran."""
    first_page_s: float
    """Until the caller had the first page."""
    peak_rss_mb: float
    start_rss_mb: float
    """Before the document was opened: interpreter, imports, client."""
    requests: int
    peak_in_flight: int
    megabytes_sent: float


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _memory_mb(entry: Literal["VmRSS", "VmHWM"]) -> float:
    """Memory now or at its peak; NaN where the system does not say.

    Not `getrusage`: its peak is inherited from the parent over fork and exec.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) * 1024 / 1e6


Give: TypeAlias = Callable[[], None]
"""Called for each page that the caller has."""
Read: TypeAlias = Callable[[str, Give], None]
"""Reads a document."""
Arm: TypeAlias = Callable[[Job], AbstractContextManager[Read]]
"""Makes a client, offers what reads with it, and closes it."""


@dataclass(kw_only=True)
class Watch:
    """Counts pages, and the seconds until the first and the last one."""

    began_s: float = field(default_factory=time.perf_counter)
    cpu_before_s: float = field(default_factory=_cpu_s)
    start_rss_mb: float = field(default_factory=lambda: _memory_mb("VmRSS"))
    pages: int = 0
    first_page_s: float = 0.0
    wall_s: float = 0.0

    def page(self) -> None:
        """The caller has a page."""
        self.wall_s = time.perf_counter() - self.began_s
        self.first_page_s = self.first_page_s or self.wall_s
        self.pages += 1

    def taken(self, served: dict[str, Any]) -> Taken:
        """What it took, with what the endpoint saw of it."""
        return Taken(
            pages=self.pages,
            wall_s=self.wall_s,
            cpu_s=_cpu_s() - self.cpu_before_s,
            first_page_s=self.first_page_s,
            peak_rss_mb=_memory_mb("VmHWM"),
            start_rss_mb=self.start_rss_mb,
            requests=served["requests"],
            peak_in_flight=served["peak_in_flight"],
            megabytes_sent=served["megabytes"],
        )


# Plain code over the openai package, as one writes it from the documentation


class _Pdf:
    """A PDF as JPEGs, page by page, from any thread."""

    def __init__(self, path: str) -> None:
        import pypdfium2

        self._document = pypdfium2.PdfDocument(path)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._document)

    def jpeg(self, page_index: int) -> bytes:
        """The page drawn and encoded."""
        with self._lock:  # PDFium is not thread-safe
            page = self._document[page_index]
            bitmap = page.render(scale=RENDER_DPI / 72)
            page.close()
        buffer = io.BytesIO()
        bitmap.to_pil().save(buffer, "JPEG", quality=JPEG_QUALITY)
        return buffer.getvalue()


def _messages(jpeg: bytes) -> Any:
    url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPT}]
    return [{"role": "user", "content": parts}]


@contextmanager
def openai_loop(job: Job) -> Iterator[Read]:
    """One page after the other."""
    import openai

    with openai.OpenAI(api_key="benchmark", base_url=job.base_url) as client:

        def read(document: str, give: Give) -> None:
            pdf = _Pdf(document)
            for page_index in range(len(pdf)):
                client.chat.completions.create(model=MODEL, messages=_messages(pdf.jpeg(page_index)))
                give()

        yield read


@contextmanager
def openai_threads(job: Job) -> Iterator[Read]:
    """A pool of threads, each drawing its page and asking about it."""
    import openai

    with (
        openai.OpenAI(api_key="benchmark", base_url=job.base_url) as client,
        ThreadPoolExecutor(job.in_flight) as pool,
    ):

        def read(document: str, give: Give) -> None:
            pdf = _Pdf(document)

            def ask(page_index: int) -> object:
                return client.chat.completions.create(model=MODEL, messages=_messages(pdf.jpeg(page_index)))

            for _ in pool.map(ask, range(len(pdf))):
                give()

        yield read


@contextmanager
def openai_async(job: Job) -> Iterator[Read]:
    """An event loop and a semaphore, pages drawn in threads."""
    import openai

    with asyncio.Runner() as runner:
        client = openai.AsyncOpenAI(api_key="benchmark", base_url=job.base_url)

        async def read(document: str, give: Give) -> None:
            places = asyncio.Semaphore(job.in_flight)
            pdf = _Pdf(document)

            async def ask(page_index: int) -> None:
                async with places:
                    jpeg = await asyncio.to_thread(pdf.jpeg, page_index)
                    await client.chat.completions.create(model=MODEL, messages=_messages(jpeg))
                give()

            await asyncio.gather(*(ask(page_index) for page_index in range(len(pdf))))

        yield lambda document, give: runner.run(read(document, give))
        runner.run(client.close())


# Other loaders


def _langchain_loader(name: str) -> Arm:
    @contextmanager
    def arm(job: Job) -> Iterator[Read]:
        warnings.simplefilter("ignore")  # langchain-community warns of its end
        from langchain_community import document_loaders
        from langchain_community.document_loaders.parsers import LLMImageBlobParser
        from langchain_openai import ChatOpenAI
        from pydantic import SecretStr

        model = ChatOpenAI(model=MODEL, api_key=SecretStr("benchmark"), base_url=job.base_url, max_retries=0)

        def read(document: str, give: Give) -> None:
            loader = getattr(document_loaders, name)(
                document, mode="page", extract_images=True, images_parser=LLMImageBlobParser(model=model)
            )
            for _ in loader.lazy_load():
                give()

        yield read

    return arm


@contextmanager
def zerox(job: Job) -> Iterator[Read]:
    """py-zerox: draws the whole document through poppler, then asks."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise fetched on import
    os.environ["OPENAI_API_KEY"] = "benchmark"
    os.environ["OPENAI_API_BASE"] = job.base_url
    warnings.simplefilter("ignore")
    from pyzerox import zerox as read_with_zerox  # type: ignore[import-not-found,unused-ignore]

    def read(document: str, give: Give) -> None:
        answer = asyncio.run(read_with_zerox(file_path=document, model=LITELLM_MODEL, concurrency=job.in_flight))
        for page in answer.pages:
            if page.content:  # a page that failed is an empty one
                give()

    yield read


# This package


class _Unlimited:
    """A rate limiter that lets every call pass: the endpoint here has no account to protect."""

    def acquire(self, *, blocking: bool = True) -> bool:
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return True


def _ocr(job: Job) -> QwenOCR:
    from langchain_qwen_ocr import QwenOCR

    return QwenOCR(
        MODEL,
        api_key="benchmark",
        base_url=job.base_url,
        max_concurrency=job.in_flight,
        rate_limiter=_Unlimited(),
    )


@contextmanager
def qwen_read(job: Job) -> Iterator[Read]:
    """`QwenOCR.read`."""
    from langchain_qwen_ocr import TextRecognition

    with _ocr(job) as ocr:

        def read(document: str, give: Give) -> None:
            for reading in ocr.read(document, TextRecognition()):
                reading.raise_for_outcome()
                give()

        yield read


@contextmanager
def qwen_aread(job: Job) -> Iterator[Read]:
    """`QwenOCR.aread`."""
    from langchain_qwen_ocr import TextRecognition

    with asyncio.Runner() as runner:
        ocr = _ocr(job)

        async def read(document: str, give: Give) -> None:
            async for reading in ocr.aread(document, TextRecognition()):
                reading.raise_for_outcome()
                give()

        yield lambda document, give: runner.run(read(document, give))
        runner.run(ocr.aclose())


@contextmanager
def qwen_loader(job: Job) -> Iterator[Read]:
    """`QwenOCRLoader.lazy_load`."""
    from langchain_qwen_ocr import QwenOCRLoader

    with _ocr(job) as ocr:

        def read(document: str, give: Give) -> None:
            for _ in QwenOCRLoader(document, ocr=ocr).lazy_load():
                give()

        yield read


# Floors: no calls at all


@contextmanager
def render(job: Job) -> Iterator[Read]:
    """Drawing and encoding alone, by PDFium and Pillow: drawn under their lock, encoded by two threads."""
    with ThreadPoolExecutor(2) as pool:

        def read(document: str, give: Give) -> None:
            pdf = _Pdf(document)
            for _ in pool.map(pdf.jpeg, range(len(pdf))):
                give()

        yield read


@contextmanager
def qwen_prepare(job: Job) -> Iterator[Read]:
    """The same by `prepare`: what this package spends on a page before it is sent."""
    from langchain_qwen_ocr.pages import open_pages, prepare

    options = _ocr(job).image_options

    def prepared(page: Page) -> object:
        return prepare(page, options)

    with ThreadPoolExecutor(2) as pool:

        def read(document: str, give: Give) -> None:
            for _ in pool.map(prepared, open_pages(document)):
                give()

        yield read


ARMS: dict[str, Arm] = {
    "openai-loop": openai_loop,
    "openai-threads": openai_threads,
    "openai-async": openai_async,
    "pymupdf-loader": _langchain_loader("PyMuPDFLoader"),
    "pypdf-loader": _langchain_loader("PyPDFLoader"),
    "zerox": zerox,
    "qwen-read": qwen_read,
    "qwen-aread": qwen_aread,
    "qwen-loader": qwen_loader,
    "render": render,
    "qwen-prepare": qwen_prepare,
}


def run(arm: Arm, job: Job) -> Taken:
    """What *arm* takes for the document, after it has read the one of one page."""
    with arm(job) as read:
        read(job.warm_up, lambda: None)
        served(job.origin)
        # Or the garbage of the imports is collected at some page: sixty milliseconds that hit this arm and miss that.
        gc.collect()
        watch = Watch()
        with _profiled(job.profile):
            read(job.document, watch.page)
        return watch.taken(served(job.origin))


def served(origin: str) -> dict[str, Any]:
    """What the endpoint saw since it was last asked."""
    with urllib.request.urlopen(f"{origin}/stats", timeout=10) as reply:
        counts: dict[str, Any] = json.load(reply)
    return counts


@contextmanager
def _profiled(path: str | None) -> Iterator[None]:
    """A cProfile of the main thread, left at *path*."""
    if path is None:
        yield
        return
    import cProfile

    profile = cProfile.Profile(time.thread_time)
    with profile:
        yield
    profile.dump_stats(path)


def main() -> int:
    """Run the arm that the arguments name."""
    name, job = sys.argv[1:]
    try:
        taken = run(ARMS[name], Job(**json.loads(job)))
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return NOT_INSTALLED
    print(json.dumps(asdict(taken)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
