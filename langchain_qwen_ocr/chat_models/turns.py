"""A conversation as the service takes it: user turns with pictures, no system message."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from langchain_qwen_ocr.chat_models.pictures import Picture, parts_of
from langchain_qwen_ocr.errors import OptionError
from langchain_qwen_ocr.geometry import PixelBudget
from langchain_qwen_ocr.models import ModelProfile
from langchain_qwen_ocr.pages import ImageOptions, open_pages, prepare
from langchain_qwen_ocr.pages.fetch import check_url_words
from langchain_qwen_ocr.tasks.text_recognition import TextRecognition
from langchain_qwen_ocr.usage import image_tokens

ServiceMessage = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Turn:
    role: str
    texts: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWriter:
    """Writes conversations for one model.

    System messages are folded into the first user turn, since the service takes none; messages of one side that
    follow each other are one turn. A model that knows no earlier
    turns gets the last one, with the conversation's latest picture.
    """

    profile: ModelProfile
    min_pixels: int | None = None
    max_pixels: int | None = None

    def write(self, messages: Sequence[BaseMessage]) -> list[ServiceMessage]:
        """The messages to send.

        Raises:
            OptionError: There is no picture or no user turn, or the pictures are more than the model takes.
            SourceError: A picture cannot be opened.
        """
        system = [text for message in messages if isinstance(message, SystemMessage) for text in _texts(message)]
        turns = _joined(_turn(message) for message in messages if not isinstance(message, SystemMessage))
        if not any(turn.pictures for turn in turns):
            raise OptionError(
                "Qwen-OCR reads pictures, and the conversation holds none: add an image block to a user message."
            )
        turns = turns if self.profile.multi_turn else [_last_turn(turns)]
        first_user = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
        if first_user is None or turns[-1].role != "user":
            raise OptionError("The conversation ends without a user's turn: there is nothing to answer.")
        room = _Room(self.profile)
        return [
            {
                "role": turn.role,
                "content": self._content(turn, system if index == first_user else [], room),
            }
            for index, turn in enumerate(turns)
        ]

    def _content(self, turn: _Turn, system: list[str], room: _Room) -> str | list[dict[str, Any]]:
        text = "\n\n".join((*system, *turn.texts))
        if turn.role != "user":
            return text
        parts = [part for picture in turn.pictures for part in self._picture_parts(picture, room)]
        if not text.strip():
            text = TextRecognition().prompt()
        return [*parts, {"type": "text", "text": text}]

    def _picture_parts(self, picture: Picture, room: _Room) -> Iterator[dict[str, Any]]:
        """One part for a picture, one for each page of a document; the pixel limits stand beside `image_url`."""
        budget = self._budget(picture)
        if picture.url is not None:
            # Whoever writes the message may name no file of this machine: test_a_message_opens_no_file.
            check_url_words(picture.url)
            if not picture.is_file:
                yield _part(picture.url, budget)
                return
        options = ImageOptions(budget=budget, max_data_url_chars=self.profile.max_data_url_chars)
        for page in open_pages(picture.data if picture.data is not None else picture.url):
            image = prepare(page, options)
            room.take(image_tokens(image.size_px, self.profile, budget))
            yield _part(f"data:{image.mime_type};base64,{base64.b64encode(image.data).decode('ascii')}", budget)

    def _budget(self, picture: Picture) -> PixelBudget:
        profile = self.profile
        most = picture.max_pixels or self.max_pixels or profile.max_pixels
        least = picture.min_pixels or self.min_pixels or min(profile.min_pixels, most)
        if most > profile.max_pixels_limit:
            raise OptionError(f"max_pixels={most} is beyond what {profile.name} takes ({profile.max_pixels_limit}).")
        return PixelBudget(profile.factor, least, most)


class _Room:
    """How many tokens of pictures a conversation may still hold."""

    def __init__(self, profile: ModelProfile) -> None:
        self._profile = profile
        self._left = profile.max_input_tokens

    def take(self, tokens: int) -> None:
        self._left -= tokens
        if self._left < 0:
            raise OptionError(
                f"The pictures of the conversation are more than the {self._profile.max_input_tokens} tokens that "
                f"{self._profile.name} takes: send fewer pages, or lower max_pixels."
            )


def _part(url: str, budget: PixelBudget) -> dict[str, Any]:
    return {
        "type": "image_url",
        "image_url": {"url": url},
        "min_pixels": budget.min_pixels,
        "max_pixels": budget.max_pixels,
    }


def _turn(message: BaseMessage) -> _Turn:
    parts = parts_of(message)
    return _Turn(
        role="assistant" if isinstance(message, AIMessage) else "user",
        texts=tuple(part for part in parts if isinstance(part, str)),
        pictures=tuple(part for part in parts if isinstance(part, Picture)),
    )


def _joined(turns: Iterable[_Turn]) -> list[_Turn]:
    """The turns with neighbours of the same role made one: a picture and the question that was sent after it."""
    joined: list[_Turn] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role:
            before = joined.pop()
            joined.append(_Turn(turn.role, before.texts + turn.texts, before.pictures + turn.pictures))
        else:
            joined.append(turn)
    return joined


def _texts(message: BaseMessage) -> list[str]:
    parts = parts_of(message)
    if any(isinstance(part, Picture) for part in parts):
        raise OptionError("A system message holds a picture; put it into a user message.")
    return [part for part in parts if isinstance(part, str)]


def _last_turn(turns: Sequence[_Turn]) -> _Turn:
    """The last turn, with the latest pictures where it has none of its own."""
    last = turns[-1]
    pictures = next(turn.pictures for turn in reversed(turns) if turn.pictures)
    return _Turn(last.role, last.texts, pictures)
