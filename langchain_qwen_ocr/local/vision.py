"""The eyes of the local engine: the bytes of a picture become a `Layout`.

Detection, the direction of lines and recognition are RapidOCR's, with the PP-OCR models that lie in its wheel:
Simplified and Traditional Chinese, Japanese, English and other languages in Latin script. Nothing is ever
downloaded. The direction of the page, its skew, what was not read, and the rulings are found here.

Memory: 0.5 GB at most for a receipt, 0.9 to 1.1 GB once an A4 page has been read, once in a process. Time on two
cores: half a second to load, then 1 to 4 s a page. Pages are read one at a time: two at once take twice the
memory and no less time.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import rapidocr

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import Affine, Quad, Size
from langchain_qwen_ocr.local.picture import open_picture
from langchain_qwen_ocr.local.rulings import drawn, find_rulings, skew_deg, weighted_median
from langchain_qwen_ocr.local.strips import Pixels, Strip, look_at
from langchain_qwen_ocr.tasks.layout import Layout, LayoutLine, Ruling

LANGUAGES = "Simplified and Traditional Chinese, Japanese, English and other languages in Latin script"
"""What the shipped models read."""

_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
_MAX_THREADS = 4
"""Beyond that a page gains little, and a server has other work."""
_MAX_DETECTION_SIDE_PX = 2000
"""Smaller is faster and reads worse: 1280 px doubles the errors on photos, 960 px makes them tenfold."""
_MAX_DETECTION_RATIO = 8
_MIN_DETECTION_SIDE_PX = 320
_MAX_RULINGS_SIDE_PX = 2000
_LONG = 1.5
"""A box so many times longer than high shows the direction of its line."""
_HEAD = 4.0
"""The classifier of directions was trained on pieces of this ratio; longer ones it squeezes and misjudges."""
_DOUBTFUL_SCORE = 0.85
"""Lines below it are also read upside down."""
_CLEAR_GAIN = 0.1
"""By how much the score must rise for a single line to lie against the page."""
_READABLE_SCORE = 0.5
_GOOD_SCORE = 0.75
_UNREAD_SHARE = 0.4
"""A line of which more ink than this has no character beside it was not read, whatever its score says."""
_DOUBTFUL_SHARE = 0.12
_SMALLEST_SKEW_DEG = 0.1
_CORNER_ERROR_PX = 3.0
_DETECTOR_MARGIN = 0.1
"""What the detector adds above and below a line, in heights of its box."""


class _Boxes(Protocol):
    boxes: Pixels | None
    """n×4×2, in px."""


class _Directions(Protocol):
    cls_res: Sequence[tuple[str, float]]


class _Words(Protocol):
    word_cols: Sequence[Sequence[int]]
    line_txt_len: float


class _Texts(Protocol):
    txts: Sequence[str]
    scores: Sequence[float]
    word_results: Sequence[_Words]


class _Engine(Protocol):
    """What is used of `rapidocr.RapidOCR`."""

    def __call__(self, picture: Pixels, *, use_det: bool, use_cls: bool, use_rec: bool) -> _Boxes: ...

    def cls_and_rotate(self, img: list[Pixels]) -> tuple[list[Pixels], _Directions]: ...

    def recognize_txt(self, img: list[Pixels]) -> _Texts: ...


class Vision:
    """Reads pictures, one at a time, from any thread.

    Raises:
        OptionError: A model is missing from RapidOCR's wheel.
    """

    def __init__(self) -> None:
        self._engine = _load_engine()
        self._one_page_at_a_time = threading.Lock()

    def read(self, data: bytes) -> Layout:
        """What stands on the picture, on its upright and deskewed page.

        Raises:
            SourceError: It cannot be opened, or is beyond the service's limits.
        """
        # OpenCV wants blue first, and copies whatever is not contiguous at every call.
        picture = np.ascontiguousarray(np.asarray(open_picture(data), dtype=np.uint8)[:, :, ::-1])
        with self._one_page_at_a_time:
            strips = self._detect(picture)
            quarters = self._quarters(picture, strips)
            page = picture
            if quarters:
                # Detection, too, is better on text that stands upright.
                page = np.ascontiguousarray(np.rot90(picture, quarters))
                strips = self._detect(page)
            strips = self._read_strips(page, strips)
        turn, _ = _upright(Size(picture.shape[1], picture.shape[0]), 90.0 * quarters)
        return _lay_out(page, strips, turn)

    def _detect(self, picture: Pixels) -> list[Strip]:
        padded, left, top = _padded(picture)
        boxes = self._engine(padded, use_det=True, use_cls=False, use_rec=False).boxes
        if boxes is None:
            return []
        offset = np.array([left, top], dtype=np.float32)
        return [Strip(np.asarray(box, dtype=np.float32) - offset) for box in boxes]

    def _quarters(self, picture: Pixels, strips: Sequence[Strip]) -> int:
        """By how many quarters, clockwise, the page lies turned: what most of the text and the vote of all lines say.

        Single lines are misjudged now and then.
        """
        if not strips:
            return 0
        sideways = _is_sideways(strips)
        along = _along_the_text(strips, sideways=sideways)
        heads = [s.part(0, min(1, _HEAD * s.height_px / s.length_px)).crop(picture) for s in along]
        _, result = self._engine.cls_and_rotate(heads)
        vote = sum((score - 0.5) * (-1 if label == "180" else 1) for label, score in result.cls_res)
        return (1 if sideways else 0) + (2 if vote < 0 else 0)

    def _read_strips(self, page: Pixels, strips: Sequence[Strip]) -> list[Strip]:
        """*strips* with their texts; single lines may run down or lie upside down."""
        strips = _along_the_text(strips, sideways=False)
        read = self._recognize(page, strips)
        doubtful = [i for i, strip in enumerate(read) if strip.score < _DOUBTFUL_SCORE]
        others = self._recognize(page, [strips[i].turned(2) for i in doubtful])
        for i, other in zip(doubtful, others, strict=True):
            if other.score > read[i].score + _CLEAR_GAIN:
                read[i] = other
        return read

    def _recognize(self, picture: Pixels, strips: Sequence[Strip]) -> list[Strip]:
        if not strips:
            return []
        crops = [strip.crop(picture) for strip in strips]
        result = self._engine.recognize_txt(crops)
        return [
            strip.read_as(text, float(score), _places(words), look_at(crop))
            for strip, crop, text, score, words in zip(
                strips, crops, result.txts, result.scores, result.word_results, strict=True
            )
        ]


_loading = threading.Lock()


def shared_vision() -> Vision:
    """The one of this process, loaded on the first call; a forked child loads its own.

    Raises:
        OptionError: A model is missing from RapidOCR's wheel.
    """
    with _loading:
        return _vision_of(os.getpid())


@functools.cache
def _vision_of(process_id: int) -> Vision:  # noqa: ARG001 - threads of the engine do not survive a fork
    return Vision()


def _load_engine() -> _Engine:
    models = Path(rapidocr.__file__).parent / "models"
    missing = [name for name in _MODELS.values() if not (models / name).is_file()]
    if missing:
        raise OptionError(
            f"RapidOCR in {models} lacks {', '.join(missing)}. "
            'Install it again: pip install --force-reinstall "langchain-qwen-ocr[local]"'
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    engine: _Engine = rapidocr.RapidOCR(
        params={
            # A model given by its path is never looked for on the network.
            **{f"{part}.model_path": str(models / name) for part, name in _MODELS.items()},
            "Global.log_level": "critical",
            "Global.max_side_len": _MAX_DETECTION_SIDE_PX,
            "Global.use_vertical_padding": False,
            "Global.return_word_box": True,
            # In batches short lines are padded to the longest: more memory, no less time.
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": min(cores, _MAX_THREADS),
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    return engine


def _padded(picture: Pixels) -> tuple[Pixels, int, int]:
    """*picture* with more paper round it where it is a mere strip, and how much of it left and above.

    The detector enlarges a picture until its shorter side has 736 px: a strip would become huge, and the blanks
    between its words as wide as between columns.
    """
    height, width = picture.shape[:2]
    wanted_height = max(height, math.ceil(width / _MAX_DETECTION_RATIO), _MIN_DETECTION_SIDE_PX)
    wanted_width = max(width, math.ceil(height / _MAX_DETECTION_RATIO), _MIN_DETECTION_SIDE_PX)
    top, left = math.ceil((wanted_height - height) / 2), math.ceil((wanted_width - width) / 2)
    if not top and not left:
        return picture, 0, 0
    paper = [float(n) for n in np.median(picture.reshape(-1, 3), axis=0)]
    padded = cv2.copyMakeBorder(picture, top, top, left, left, cv2.BORDER_CONSTANT, value=paper)
    return np.asarray(padded, dtype=np.uint8), left, top


def _is_sideways(strips: Sequence[Strip]) -> bool:
    across = sum(s.length_px for s in strips if s.length_px >= _LONG * s.height_px)
    down = sum(s.height_px for s in strips if s.height_px >= _LONG * s.length_px)
    return down > across


def _along_the_text(strips: Sequence[Strip], *, sideways: bool) -> list[Strip]:
    """Long boxes follow their longer side, squarish ones the page."""
    return [s.turned(1) if _runs_down(s, sideways=sideways) else s for s in strips]


def _runs_down(strip: Strip, *, sideways: bool) -> bool:
    if strip.height_px >= _LONG * strip.length_px:
        return True
    return sideways and strip.length_px < _LONG * strip.height_px


def _places(words: _Words) -> tuple[float, ...]:
    columns = [column for word in words.word_cols for column in word]
    return tuple((column + 0.5) / words.line_txt_len for column in columns)


def _lay_out(page: Pixels, strips: Sequence[Strip], turn: Affine) -> Layout:
    """The page deskewed, with its rulings, and what was not read.

    Args:
        page: The picture after turning by whole quarters.
        strips: What was read on it.
        turn: From the picture to the page.
    """
    size = Size(page.shape[1], page.shape[0])
    line_height = float(np.median([strip.height_px for strip in strips])) if strips else 0.0
    # A speck or a row of dashes is no line that could not be read.
    texts = [s for s in strips if s.text.strip() or (s.has_letters and s.height_px > line_height / 2)]
    read = [strip for strip in texts if _is_read(strip)]
    grey = np.asarray(cv2.cvtColor(page, cv2.COLOR_BGR2GRAY), dtype=np.uint8)

    angle = _page_angle_deg(read or texts)
    rulings = _rulings(grey, angle, texts, line_height)
    # Drawn lines show the skew better than boxes of text do.
    residue = skew_deg(rulings)
    if abs(residue) >= _SMALLEST_SKEW_DEG:
        angle = _to_quarter(angle + residue, within_deg=_SMALLEST_SKEW_DEG)
        rulings = _rulings(grey, angle, texts, line_height)
    to_upright, upright = _upright(size, angle)
    return Layout(
        picture=_picture_size(size, turn),
        size=upright,
        lines=tuple(
            LayoutLine(piece.text, _straightened(_quad(piece).mapped(to_upright)), piece.score)
            for strip in read
            for piece in strip.pieces(_crossings(_quad(strip).mapped(to_upright), rulings))
        ),
        rulings=rulings,
        to_picture=(to_upright @ turn).inverse(),
        warnings=_warnings(texts),
    )


def _picture_size(page: Size, turn: Affine) -> Size:
    return Size(page.height_px, page.width_px) if turn.a == 0 else page


def _is_read(strip: Strip) -> bool:
    return bool(strip.text.strip()) and strip.score >= _READABLE_SCORE and strip.unread_share <= _UNREAD_SHARE


def _is_doubtful(strip: Strip) -> bool:
    return strip.score < _GOOD_SCORE or strip.unread_share > _DOUBTFUL_SHARE


def _warnings(texts: Sequence[Strip]) -> tuple[str, ...]:
    unread = sum(not _is_read(strip) for strip in texts)
    doubtful = [strip.text.strip() for strip in texts if _is_read(strip) and _is_doubtful(strip)]
    warnings = []
    if unread:
        warnings.append(
            f"Left out, because not read: {unread} of {len(texts)} lines. Either their script is not supported here, "
            f"or they are no text. The local engine reads {LANGUAGES}."
        )
    if doubtful:
        warnings.append(
            f"Doubtful, characters may be missing or wrong: {len(doubtful)} of {len(texts)} lines, the first "
            f"reads {doubtful[0]!r}. The local engine reads {LANGUAGES}."
        )
    return tuple(warnings)


def _quad(strip: Strip) -> Quad:
    """Where the text stands, without most of what the detector adds round it."""
    a, b, c, d = strip.corners.astype(float)
    down_left, down_right = _DETECTOR_MARGIN * (d - a), _DETECTOR_MARGIN * (c - b)
    corners = (a + down_left, b + down_right, c - down_right, d - down_left)
    return Quad.from_numbers([float(n) for corner in corners for n in corner])


def _straightened(quad: Quad) -> Quad:
    """The quad set upright, where its slant is no more than what corners of whole px leave open."""
    if abs(quad.angle_deg) > _uncertainty_deg(quad.width):
        return quad
    (x, y), half_width, half_height = quad.center, quad.width / 2, quad.height / 2
    return Quad.of(x - half_width, y - half_height, x + half_width, y + half_height)


def _uncertainty_deg(length_px: float) -> float:
    """How far the angle of a box may be off: a corner lies within a few px, so short lines show no small angle."""
    return math.degrees(math.atan2(_CORNER_ERROR_PX, length_px))


def _page_angle_deg(strips: Sequence[Strip]) -> float:
    """How most text runs, in (-180, 180]; long lines tell it better than short ones."""
    if not strips:
        return 0.0
    angles = np.array([strip.angle_deg for strip in strips])
    lengths = np.array([strip.length_px for strip in strips])
    radians = np.radians(angles)
    main = math.degrees(math.atan2((lengths * np.sin(radians)).sum(), (lengths * np.cos(radians)).sum()))
    off = (angles - main + 180) % 360 - 180
    angle = 180 - (180 - main - weighted_median(off, lengths**2)) % 360
    return _to_quarter(angle, within_deg=max(_SMALLEST_SKEW_DEG, _uncertainty_deg(float(lengths.max()))))


def _to_quarter(angle_deg: float, *, within_deg: float) -> float:
    quarter = 90.0 * round(angle_deg / 90)
    return quarter if abs(angle_deg - quarter) < within_deg else angle_deg


def _upright(picture: Size, angle_deg: float) -> tuple[Affine, Size]:
    """The way to the upright page on which text at *angle_deg* runs to the right, and that page's size."""
    turn = Affine.rotation(-angle_deg)
    left, top, right, bottom = Quad.of(0, 0, *picture).mapped(turn).bounds
    return Affine.translation(-left, -top) @ turn, Size(round(right - left), round(bottom - top))


def _rulings(grey: Pixels, angle_deg: float, texts: Sequence[Strip], line_height_px: float) -> tuple[Ruling, ...]:
    """The rulings in px of the upright page."""
    height, width = grey.shape
    scale = min(1.0, _MAX_RULINGS_SIDE_PX / max(width, height))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    to_upright, upright = _upright(Size(width, height), angle_deg)
    there = Affine.scaling(scale, scale) @ to_upright
    way = there @ Affine.scaling(width / small.shape[1], height / small.shape[0])
    matrix = np.array([[way.a, way.b, way.c], [way.d, way.e, way.f]])
    shape = (max(round(upright.width_px * scale), 1), max(round(upright.height_px * scale), 1))
    page = np.asarray(cv2.warpAffine(small, matrix, shape, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)
    inside = cv2.warpAffine(np.full_like(small, 255), matrix, shape)
    # What the turn smears beyond the picture's border is no drawing.
    ink = np.asarray(drawn(page) & cv2.erode(inside, np.ones((5, 5), np.uint8)), dtype=np.uint8)
    found = find_rulings(ink, [_quad(strip).mapped(there) for strip in texts], line_height_px * scale)
    back = Affine.scaling(1 / scale, 1 / scale)
    return tuple(Ruling(back(*ruling.start), back(*ruling.end)) for ruling in found)


def _crossings(quad: Quad, rulings: Iterable[Ruling]) -> list[float]:
    """Where upright rulings cut through a line of text, in fractions of its length."""
    left, top, right, bottom = quad.bounds
    middle = (top + bottom) / 2
    across = [
        (ruling.start.x + ruling.end.x) / 2
        for ruling in rulings
        if not ruling.is_horizontal and min(ruling.start.y, ruling.end.y) < middle < max(ruling.start.y, ruling.end.y)
    ]
    return sorted((x - left) / (right - left) for x in across if left < x < right)
