"""What each Qwen-OCR model is like, as data.

Numbers come from Model Studio's pages "Text extraction (Qwen-OCR)", "Qwen-OCR API reference" and the models' own
pages, read up to November 2026. Where two pages disagree, the newer one is taken and the other named.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import CoordinateFrame, PixelBudget


@dataclass(frozen=True, slots=True)
class ServiceRegion:
    """One of the service's regions; keys and prices belong to one."""

    name: str
    base_url: str
    """The shared address of the OpenAI-compatible endpoint."""
    workspace_host: str | None
    """The host of a workspace's own address, after `{workspace_id}.`; None where there is none."""
    default_model: str
    """The best stable model that the region has."""

    def workspace_url(self, workspace_id: str) -> str:
        """The workspace's own address (one hour of time limit instead of ten minutes)."""
        if self.workspace_host is None:
            raise OptionError(f"Region {self.name!r} has no workspace addresses; leave base_url unset.")
        return f"https://{workspace_id}.{self.workspace_host}/compatible-mode/v1"


REGIONS: Mapping[str, ServiceRegion] = MappingProxyType(
    {
        region.name: region
        for region in (
            ServiceRegion(
                "beijing",
                "https://dashscope.aliyuncs.com/compatible-mode/v1",
                "cn-beijing.maas.aliyuncs.com",
                "qwen-vl-ocr-latest",
            ),
            ServiceRegion(
                "singapore",
                "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
                "ap-southeast-1.maas.aliyuncs.com",
                "qwen-vl-ocr-2025-11-20",
            ),
            ServiceRegion(
                "virginia",
                "https://dashscope-us.aliyuncs.com/compatible-mode/v1",
                None,
                "qwen-vl-ocr-2025-11-20",
            ),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs in a region from a day on."""

    region: str
    since: dt.date
    currency: str
    per_million_input: Decimal
    """For a million prompt tokens, picture and text alike."""
    per_million_output: Decimal


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How fast an account may call a model."""

    requests_per_minute: int
    tokens_per_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """One model: how it looks at pictures, how it answers, what it takes and costs."""

    name: str
    aliases: tuple[str, ...] = ()
    regions: tuple[str, ...] = ("beijing",)
    factor: int = 32
    """The side of a square of pixels that makes one image token."""
    min_pixels: int = 3 * 32 * 32
    max_pixels: int = 8192 * 32 * 32
    """The default largest area, in px²; larger pictures are shrunk by the service."""
    max_pixels_limit: int = 30000 * 32 * 32
    """How far `max_pixels` may be raised, in px²."""
    frame: CoordinateFrame = CoordinateFrame.THOUSANDTHS
    horizontal_angle_deg: int = 90
    """The angle it gives to upright horizontal text: 90 and -89 with the line's height as width, 0 with its length."""
    context_tokens: int = 38_192
    max_input_tokens: int = 30_000
    max_output_tokens: int = 8_192
    prompt_overhead_tokens: int = 8
    """Tokens of chat markup billed beside the prompt and the picture."""
    image_overhead_tokens: int = 2
    """Marks before and after each picture."""
    max_file_bytes: int = 10 * 1024 * 1024
    max_data_url_chars: int = 10 * 1024 * 1024
    exact_vocabulary: bool = True
    """Whether the packed vocabulary is this model's, so that token counts are exact."""
    multi_turn: bool = False
    """Whether earlier turns are read; otherwise only the last message is."""
    batch: bool = False
    prices: tuple[Price, ...] = ()
    rate_limit: RateLimit = RateLimit(600, 6_000_000)
    """Published for qwen-vl-ocr and -latest in Beijing; taken for the others too, where nothing is published."""

    @property
    def budget(self) -> PixelBudget:
        """The default pixel budget."""
        return PixelBudget(self.factor, self.min_pixels, self.max_pixels)

    def price(self, region: str, *, on: dt.date | None = None) -> Price | None:
        """The price in *region* on a day (today when None); None where none is published."""
        day = on or dt.datetime.now(tz=dt.UTC).date()
        valid = [p for p in self.prices if p.region == region and p.since <= day]
        return max(valid, key=lambda p: p.since, default=None)


def _price(region: str, since: str, currency: str, per_input: str, per_output: str) -> Price:
    return Price(region, dt.date.fromisoformat(since), currency, Decimal(per_input), Decimal(per_output))


# The prices of the 2025-11-20 snapshot: Beijing in yuan, Singapore and Virginia in dollars.
_PRICES_QWEN3_VL = (
    _price("beijing", "2025-11-20", "CNY", "0.3", "0.5"),
    _price("singapore", "2025-11-20", "USD", "0.07", "0.16"),
    _price("virginia", "2025-11-20", "USD", "0.043", "0.072"),
)
_PRICES_2025 = (_price("beijing", "2024-10-28", "CNY", "5", "5"),)

_OLD = {
    "factor": 28,
    "min_pixels": 4 * 28 * 28,
    "max_pixels": 8192 * 28 * 28,
    "max_pixels_limit": 30000 * 28 * 28,
    "frame": CoordinateFrame.PIXELS,
    "horizontal_angle_deg": -89,
    "context_tokens": 34_096,
    "max_output_tokens": 4_096,
    "prompt_overhead_tokens": 19,
    "prices": _PRICES_2025,
}

MODELS: tuple[ModelProfile, ...] = (
    ModelProfile(
        name="qwen3.5-ocr",
        # The model's page says 65,536 of context and 16,384 of output; the API reference says 32,768 of output.
        context_tokens=65_536,
        max_input_tokens=49_152,
        max_output_tokens=16_384,
        horizontal_angle_deg=0,
        max_file_bytes=20 * 1024 * 1024,
        exact_vocabulary=False,
        multi_turn=True,
        prices=(_price("beijing", "2026-06-15", "CNY", "0.5", "2"),),
    ),
    ModelProfile(name="qwen-vl-ocr-latest", batch=True, prices=_PRICES_QWEN3_VL[:1]),
    ModelProfile(
        name="qwen-vl-ocr-2025-11-20",
        aliases=("qwen-vl-ocr-1120",),
        regions=("beijing", "singapore", "virginia"),
        prices=_PRICES_QWEN3_VL,
    ),
    # The stable alias points to 2025-11-20 since 2026; one page still lists it with factor 28 and 4,096 of output,
    # so the output asked for by default stays within both.
    ModelProfile(
        name="qwen-vl-ocr",
        regions=("beijing", "singapore", "virginia"),
        batch=True,
        prices=(
            _price("beijing", "2024-10-28", "CNY", "5", "5"),
            _price("beijing", "2026-01-01", "CNY", "0.3", "0.5"),
            _price("singapore", "2024-10-28", "USD", "0.72", "0.72"),
            _price("singapore", "2026-01-01", "USD", "0.07", "0.16"),
            _price("virginia", "2026-01-01", "USD", "0.043", "0.072"),
        ),
    ),
    ModelProfile(name="qwen-vl-ocr-2025-08-28", aliases=("qwen-vl-ocr-0828",), **_OLD),  # type: ignore[arg-type]
    ModelProfile(name="qwen-vl-ocr-2025-04-13", aliases=("qwen-vl-ocr-0413",), **_OLD),  # type: ignore[arg-type]
    ModelProfile(
        name="qwen-vl-ocr-2024-10-28",
        aliases=("qwen-vl-ocr-1028",),
        image_overhead_tokens=0,
        **_OLD,  # type: ignore[arg-type]
    ),
)

_BY_NAME = {name: profile for profile in MODELS for name in (profile.name, *profile.aliases)}


def find_model(name: str) -> ModelProfile:
    """The profile of a model by its id, with or without a gateway's prefix such as `qwen/`.

    A name that is not listed (a later snapshot, a self-hosted model) is taken to be like the newest line it is
    named after, without a price.
    """
    bare = name.rsplit("/", 1)[-1].lower()
    known = _BY_NAME.get(bare)
    if known is not None:
        return known
    like = _BY_NAME["qwen3.5-ocr" if bare.startswith("qwen3.") else "qwen-vl-ocr-latest"]
    return ModelProfile(
        name=name,
        regions=tuple(REGIONS),
        horizontal_angle_deg=like.horizontal_angle_deg,
        context_tokens=like.context_tokens,
        max_input_tokens=like.max_input_tokens,
        max_output_tokens=like.max_output_tokens,
        exact_vocabulary=like.exact_vocabulary,
        multi_turn=like.multi_turn,
    )


def find_region(name: str) -> ServiceRegion:
    """The region of that name.

    Raises:
        OptionError: There is no OCR model in a region of that name.
    """
    try:
        return REGIONS[name]
    except KeyError:
        known = ", ".join(REGIONS)
        raise OptionError(f"There is no region {name!r}; choose one of {known}.") from None
