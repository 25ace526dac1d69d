"""Drawn straight lines: the borders of tables, the bars of fractions, underlines.

Works on a grey picture that already stands upright; finds what runs along x or y.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from langchain_qwen_ocr.geometry import Point, Quad
from langchain_qwen_ocr.tasks.layout import Ruling

Grey = npt.NDArray[np.uint8]

_NEIGHBOURHOOD_PX = 41
_DARKER_BY = 12
"""A pixel is drawn when it is so much darker than the mean of its neighbourhood; shadows pass."""
_MAX_THICKNESS_PX = 14
_MIN_RUN_IN_LINE_HEIGHTS = 1.2
"""Longer than any stroke of ordinary letters."""
_SHORTEST_SKEW_PX = 200
"""Over that length a ruling shows a tenth of a degree."""
_CORE = 0.25
"""The part of a text box, above and below, that may hold a ruling: boxes are padded."""


def drawn(grey: Grey) -> Grey:
    """255 where something darker than its neighbourhood is drawn, else 0."""
    return np.asarray(
        cv2.adaptiveThreshold(
            grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, _NEIGHBOURHOOD_PX, _DARKER_BY
        ),
        dtype=np.uint8,
    )


def skew_deg(rulings: Sequence[Ruling]) -> float:
    """How far rulings lie from x and y, in degrees clockwise; 0 when they are too few or too short to tell."""
    vectors = np.array([(r.end.x - r.start.x, r.end.y - r.start.y) for r in rulings]).reshape(-1, 2)
    lengths = np.hypot(*vectors.T)
    longest = lengths.max(initial=0.0)
    if longest < _SHORTEST_SKEW_PX:
        return 0.0
    telling = lengths >= longest / 3
    angles = (np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) + 45) % 90 - 45
    return weighted_median(angles[telling], lengths[telling])


def weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """The value below which half the weight lies."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def find_rulings(ink: Grey, texts: Sequence[Quad], line_height_px: float) -> tuple[Ruling, ...]:
    """The rulings of an upright picture, strokes of letters left out.

    Args:
        ink: As `drawn` gives it.
        texts: Where text stands, in px.
        line_height_px: Of an ordinary line of that text.
    """
    run = max(round(_MIN_RUN_IN_LINE_HEIGHTS * line_height_px), 24)
    horizontal = (_horizontal(ink, run), False)
    vertical = (_horizontal(ink.T.copy(), run), True)
    boxes = np.array([quad.bounds for quad in texts]).reshape(-1, 4)
    return tuple(
        Ruling(*(Point(y, x) if turned else Point(x, y) for x, y in ends))
        for found, turned in (horizontal, vertical)
        for ends in found
        if not _inside_text(ends, boxes[:, [1, 0, 3, 2]] if turned else boxes, turned=turned)
    )


def _horizontal(ink: Grey, run: int) -> list[tuple[Point, Point]]:
    """Both ends of every horizontal stroke at least *run* px long."""
    # A line that slants by a pixel over the run is still one line: thicken before looking for runs.
    thick = cv2.dilate(ink, np.ones((3, 1), np.uint8))
    opened = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    # Gaps of a broken or crossed line close; lines of neighbouring cells, further apart, stay two.
    joined = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((1, max(run // 4, 5)), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = []
    for index in range(1, count):
        left, top, width, height, area = (int(n) for n in stats[index])
        thickness = area / width
        if thickness > _MAX_THICKNESS_PX or width < run:
            continue
        part = labels[top : top + height, left : left + width] == index
        reach = min(run // 2, width)
        found.append(
            (
                Point(float(left), top + _middle(part[:, :reach])),
                Point(float(left + width), top + _middle(part[:, -reach:])),
            )
        )
    return found


def _middle(part: npt.NDArray[np.bool_]) -> float:
    rows = np.nonzero(part)[0]
    return float(rows.mean()) + 0.5


def _inside_text(ends: tuple[Point, Point], boxes: npt.NDArray[np.float64], *, turned: bool) -> bool:
    """Whether the stroke belongs to a letter: it lies within one text box, off the box's padded rim."""
    (x1, y1), (x2, y2) = ends
    left, top, right, bottom = boxes.T
    # Along the line boxes are padded little; a stroke across a line of text is inside when it does not stick out.
    rim = 0.0 * (bottom - top) if turned else _CORE * (bottom - top)
    middle = (y1 + y2) / 2
    slack = 0.1 * np.minimum(bottom - top, right - left)
    within = (left - slack <= x1) & (x2 <= right + slack)
    return bool((within & (top + rim < middle) & (middle < bottom - rim)).any())
