"""What an installed package offers before anything is read with it."""

import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest

import langchain_qwen_ocr

PUBLIC_NAMES = [
    "AdvancedRecognition",
    "ChatQwenOCR",
    "DocumentParsing",
    "FormulaRecognition",
    "FreePrompt",
    "KeyInformationExtraction",
    "MultilingualRecognition",
    "Quad",
    "QwenOCR",
    "QwenOCRBlobParser",
    "QwenOCRLoader",
    "QwenOCROutputParser",
    "QwenOCRTool",
    "QwenOCRToolkit",
    "Reading",
    "Region",
    "TASKS",
    "TableParsing",
    "TextRecognition",
    "Usage",
    "draw_regions",
]
HEAVY = {
    "openai",
    "httpx2",
    "langchain_core",
    "pandas",
    "numpy",
    "onnxruntime",
    "cv2",
    "rapidocr",
    "jsonschema",
}


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_public_names_resolve(name):
    """Each public name is there, is listed, and is shown by `dir`."""
    assert getattr(langchain_qwen_ocr, name) is not None
    assert name in langchain_qwen_ocr.__all__
    assert name in dir(langchain_qwen_ocr)


def test_nothing_else_is_public():
    """A name is public because somebody decided so."""
    assert sorted(set(langchain_qwen_ocr.__all__) - {"__version__"}) == sorted(PUBLIC_NAMES)


def test_an_unknown_name_is_an_attribute_error():
    """Loading names on first use leaves the ordinary error for those that do not exist."""
    with pytest.raises(AttributeError, match="NoSuchName"):
        getattr(langchain_qwen_ocr, "NoSuchName")  # noqa: B009


@pytest.mark.parametrize(
    ("imported", "not_loaded"),
    [
        pytest.param("langchain_qwen_ocr", HEAVY, id="the package"),
        pytest.param(
            "langchain_qwen_ocr.tools, langchain_qwen_ocr.loaders", HEAVY - {"langchain_core", "httpx2"}, id="the tools"
        ),
    ],
)
def test_importing_is_cheap(imported, not_loaded):
    """Nobody pays for a large library before it is used."""
    program = f"import sys, {imported}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert not_loaded.intersection(done.stdout.split()) == set()


@pytest.mark.parametrize("path", ["py.typed", "data/qwen_ranks.xz", "data/LICENSE-qwen", "data/NOTICE.md"])
def test_files_that_travel_with_the_code(path):
    """Type checkers find the marker; the vocabulary has its licence and its notice beside it."""
    assert resources.files("langchain_qwen_ocr").joinpath(path).is_file()


def test_version_is_the_one_of_the_distribution():
    """The installed distribution and pyproject.toml name the same version."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))["project"]

    assert metadata.version("langchain-qwen-ocr") == project["version"]


def test_readme_commands_name_extras_that_exist():
    """The extras that the README installs are declared."""
    extras = metadata.metadata("langchain-qwen-ocr").get_all("Provides-Extra")

    assert {"local", "test"} <= set(extras or [])
