"""What each encoding of a page costs and spoils: `python -m tests.benchmarks.encoding`.

Pages of the example pictures, clean and as a scanner's noise leaves them, are encoded in each form; the embedded engine
reads what comes out. It needs the extra `local`.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter

from langchain_qwen_ocr import QwenOCR
from langchain_qwen_ocr.pages import ImageOptions, PreparedImage, open_pages, prepare

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"
DEFAULT = ImageOptions()
FORMS = {
    "jpeg q85": ImageOptions(image_format="jpeg", jpeg_quality=85),
    "jpeg q75": ImageOptions(image_format="jpeg", jpeg_quality=75),
    "png": ImageOptions(image_format="png"),
    "webp q85": ImageOptions(image_format="webp", jpeg_quality=85),
}


@dataclass(frozen=True, slots=True)
class Scan:
    """A page as a kind of scanner gives it, and what is on it."""

    kind: str
    name: str
    image: Image.Image
    text: str


def scans() -> Iterator[Scan]:
    """Bilevel, grey and colour; clean, and with noise and softened edges."""
    for name in ("invoice_en.png", "table_borderless.png", "receipt_zh.jpg"):
        path = PICTURES / name
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        colour = Image.open(path).convert("RGB")
        grey = colour.convert("L")
        yield Scan("bilevel", name, grey.point(lambda v: 255 * (v > 150)).convert("1"), text)
        yield Scan("bilevel, noisy", name, worn(grey).point(lambda v: 255 * (v > 150)).convert("1"), text)
        yield Scan("grey", name, grey, text)
        yield Scan("grey, noisy", name, worn(grey), text)
        yield Scan("colour", name, tinted(grey), text)
        yield Scan("colour, noisy", name, worn(tinted(grey)), text)


def worn(image: Image.Image) -> Image.Image:
    """The page with soft edges and a scanner's noise, the same each time."""
    soft = image.filter(ImageFilter.GaussianBlur(0.8))
    bands = [ImageChops.add(band, noise(band.size), scale=1, offset=-128) for band in soft.split()]
    return bands[0] if len(bands) == 1 else Image.merge("RGB", bands)


def noise(size: tuple[int, int]) -> Image.Image:
    """Grey noise round 128 from a generator with a fixed beginning."""
    import numpy as np

    values = np.random.default_rng(7).normal(128, 12, (size[1], size[0]))
    return Image.fromarray(values.clip(0, 255).astype("uint8"))


def tinted(grey: Image.Image) -> Image.Image:
    """Blue ink on cream paper."""
    paper = Image.new("RGB", grey.size, (250, 243, 224))
    return Image.composite(paper, Image.new("RGB", grey.size, (24, 40, 120)), grey)


def encoded(scan: Scan, options: ImageOptions) -> tuple[PreparedImage, float]:
    """The picture that would be sent, and the best time of three to make it, in ms."""
    times = []
    for _ in range(3):
        page = next(open_pages(scan.image))
        start = time.perf_counter()
        prepared = prepare(page, options)
        times.append(time.perf_counter() - start)
    return prepared, 1000 * min(times)


def error_rate(read: str, expected: str) -> float:
    """Changes of single characters from one to the other, over the length; white space does not count."""
    a, b = "".join(read.split()), "".join(expected.split())
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (left != right))
    return row[-1] / max(1, len(b))


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description="Measure the encodings of pages.")
    arguments.add_argument("--no-reading", action="store_true", help="bytes and time only")
    reads = not arguments.parse_args().no_reading
    print(f"{'picture':16} {'scan':15} {'form':9} {'KB':>7} {'ms':>6} {'CER %':>6}   (* is what is sent by default)")
    with QwenOCR.local() as ocr:
        for scan in scans():
            chosen = prepare(next(open_pages(scan.image)), DEFAULT).data
            for form, options in FORMS.items():
                image, ms = encoded(scan, options)
                cer = "-"
                if reads:
                    (reading,) = ocr.read(io.BytesIO(image.data))
                    cer = f"{100 * error_rate(reading.text, scan.text):.2f}"
                mark = "*" if image.data == chosen else " "
                print(f"{scan.name:16} {scan.kind:15} {form:8}{mark} {len(image.data) / 1000:7.0f} {ms:6.0f} {cer:>6}")


if __name__ == "__main__":
    main()
