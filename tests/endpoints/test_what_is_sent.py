"""Everything the package sends, in front of a service that takes nothing it does not document."""

from pathlib import Path

import httpx2
import pytest

from langchain_qwen_ocr.engine import QwenOCR
from langchain_qwen_ocr.models import MODELS, REGIONS
from langchain_qwen_ocr.tasks import TASKS
from langchain_qwen_ocr.tasks.free_prompt import FreePrompt
from langchain_qwen_ocr.tasks.results import Result
from langchain_qwen_ocr.tasks.task import Task
from langchain_qwen_ocr.testing import StrictService

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"
FILES = sorted(file for file in PICTURES.rglob("*") if file.suffix in {".png", ".jpg", ".tiff", ".pdf"})
EVERY_TASK: list[Task[Result]] = [
    *(task for kind in TASKS.values() if kind is not FreePrompt for task in kind.variants()),
    FreePrompt("What is the total? Answer with the number alone."),
]


def engine(service: StrictService, **options: object) -> QwenOCR:
    return QwenOCR(
        api_key="sk-test",
        http_client=httpx2.Client(transport=service),
        http_async_client=httpx2.AsyncClient(transport=service),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PICTURES).as_posix())
def test_pictures_of_every_kind(file):
    """Every page of every example, whatever its colours and format, is taken by the service."""
    service = StrictService("Hello", api_key="sk-test")
    with engine(service) as ocr:
        readings = list(ocr.read(file))

    assert service.refusals == []
    assert [reading.outcome for reading in readings] == ["ok"] * service.calls


@pytest.mark.parametrize("task", EVERY_TASK, ids=lambda task: f"{task.name}-{task.prompt_language}")
def test_every_task(task):
    """Every task's request is taken by the service, with the task's prompt as it is."""
    service = StrictService("Hello", api_key="sk-test")
    with engine(service, max_tokens=1000) as ocr:
        list(ocr.read(PICTURES / "table_merged.png", task))

    assert service.refusals == []
    assert {sent.prompt for sent in service.requests} == {task.prompt()}


@pytest.mark.parametrize(
    ("model", "region"),
    [(profile.name, region) for profile in MODELS for region in profile.regions],
)
def test_every_model(model, region):
    """Every model takes what is sent to it in each of its regions, asked natively too."""
    assert region in REGIONS
    service = StrictService("Hello", api_key="sk-test", region=region)
    with engine(service, model=model, region=region) as ocr:
        list(ocr.read(PICTURES / "table_merged.png"))

    assert service.refusals == []
    assert service.calls == 1


async def test_the_same_is_sent_by_tasks():
    """Asynchronous reading sends the very same bytes."""
    service = StrictService("Hello", api_key="sk-test")
    async with engine(service) as ocr:
        list(ocr.read(PICTURES / "table_merged.png"))
        readings = [reading async for reading in ocr.aread(PICTURES / "table_merged.png")]

    assert [reading.outcome for reading in readings] == ["ok"]
    first, second = service.requests
    assert first.content == second.content
