"""Refusals and blank pages are told from documents that hold such sentences."""

from __future__ import annotations

import pytest

from langchain_qwen_ocr.tasks.phrases import declines, says_nothing_to_read

REFUSALS = [
    "I'm sorry, but I can't assist with that.",
    "I'm sorry, I cannot help with this request.",
    "Sorry, I can't process this image.",
    "I cannot read the text in this picture.",
    "As an AI language model, I cannot view images.",
    "I am unable to transcribe the content of this document.",
    "很抱歉，我无法识别这张图片中的内容。",
    "抱歉，我无法提供相关帮助。",
    "对不起，我不能处理该图片。",
    "我无法提取图片中的文字。",
    "Unfortunately, I am not able to read this image because it is too blurry.",
    "I can't extract text from the provided image.",
    "非常抱歉，由于图片模糊，我无法识别图片中的文字。",
    "I'm sorry, but the image is too blurry to read.",
    "The text in the image is too small to be read.",
    "图片过于模糊，无法识别。",
    "抱歉，图片中的文字不清晰，难以准确识别内容。",
]
NO_REFUSALS = [
    "Sorry, I cannot come to the party on Friday.",
    "Dear Tom,\nsorry, I cannot come.",
    "I can't help falling in love with you",
    "Sorry, we are closed",
    "抱歉，本店今日无法营业",
    "对不起，我不能参加会议。",
    "I cannot provide you with the goods before May.",
    "We are unable to process your application without a photo.",
    "I am unable to attend.",
    "我不能回答你为什么爱你",
    "Sorry, this page can't be found",
    "I will not read it again",
    "The document is too long to read in one sitting.",
    "图片较大，无法上传",
]
NOTHING_TO_READ = [
    "There is no text in the image.",
    "The image contains no text.",
    "No text detected.",
    "No text.",
    "The image is blank.",
    "The image does not contain any readable text.",
    "This picture appears to be blank.",
    "图片中没有文字。",
    "该图片中没有可识别的文字内容。",
    "图中没有任何文字",
    "未检测到文字",
    "图片为空白",
    "这是一张空白图片",
    "There isn't any text in this image.",
    "The image appears to be completely white with no visible text.",
    "There is no visible text or content in the provided image.",
    "该图像中不包含任何文字。",
    "没有检测到文字。",
    "There are no tables in the image.",
    "(blank page)",
    "<blank>",
    "（空白）",
    "该图像为空白页，没有任何文字。",
]
SOMETHING_TO_READ = [
    "No Smoking",
    "There is no place like home.",
    "There is no text message fee.",
    "This page intentionally left blank",
    "本页无正文",
    "此页无正文",
    "无",
    "没有",
    "no contents",
    "The document contains no warranty text of any kind.",
    "The page is empty of meaning, said the author",
    "There are no words for how I feel",
    "无内容",
    "No content available",
    "blank",
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_heard(answer: str) -> None:
    """An answer that is nothing but a refusal to read the picture is one."""
    assert declines(answer)


@pytest.mark.parametrize("answer", NO_REFUSALS)
def test_a_document_that_declines_is_text(answer: str) -> None:
    """A letter that declines something else is a letter."""
    assert not declines(answer)


def test_a_refusal_inside_a_longer_text_is_text() -> None:
    """A page that quotes a refusal is a page."""
    assert not declines("I cannot read the text in this picture.\nThat is what the machine said.\nWe tried again.")


@pytest.mark.parametrize("answer", NOTHING_TO_READ)
def test_a_blank_page_is_heard(answer: str) -> None:
    """An answer that only says that there is nothing to read says so."""
    assert says_nothing_to_read(answer)


@pytest.mark.parametrize("answer", SOMETHING_TO_READ)
def test_a_document_about_nothing_is_text(answer: str) -> None:
    """Words of a page that sound alike are its text."""
    assert not says_nothing_to_read(answer)
