"""Drawings from the command line: each page gets a picture of its own, and a person is told when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from langchain_qwen_ocr.cli import main

LABEL = Path(__file__).parents[1] / "examples" / "pictures" / "modes" / "label_l.png"

pytestmark = pytest.mark.local


def drawn(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["one.png"], ["boxes.svg"]),
        (["."], ["boxes-label.png.svg", "boxes-one.png.svg"]),
        (["one.png", "old/one.png"], ["boxes-one.png-2.svg", "boxes-one.png.svg"]),
    ],
    ids=["a file", "a folder", "equal names"],
)
def test_each_source_has_its_drawing(tmp_path, monkeypatch, capsys, sources, expected):
    """No drawing takes the place of another one, wherever the sources came from."""
    scans, out = tmp_path / "scans", tmp_path / "drawn"
    names = ["one.png", "label.png"] if sources == ["."] else sources
    for name in names:
        (scans / name).parent.mkdir(parents=True, exist_ok=True)
        (scans / name).write_bytes(LABEL.read_bytes())
    monkeypatch.chdir(scans)

    code = main(
        ["read", *sources, "--engine", "local", "--task", "advanced_recognition", "--draw", str(out / "boxes.svg")]
    )

    assert code == 0
    assert drawn(out) == expected
    assert capsys.readouterr().err.count("Drew ") == len(expected)


def test_nothing_to_draw(tmp_path, capsys):
    """A task without places draws nothing, and names the one that has them."""
    assert main(["read", str(LABEL), "--engine", "local", "--draw", str(tmp_path / "boxes.png")]) == 0

    assert drawn(tmp_path) == []
    assert "--task advanced_recognition" in capsys.readouterr().err
