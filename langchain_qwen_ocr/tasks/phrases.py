"""Sentences with which a model says that it will not read, or that there is nothing to read."""

from __future__ import annotations

import re

_LONGEST_SENTENCE = 400
"""Characters; a longer answer is a transcript, whatever it begins with."""

_DECLINES = re.compile(
    r"""^\W*(?:
        (?:i['’]?m\ sorry|sorry|i\ apologi[sz]e)[,.\s].{0,60}?\b(?:can(?:no|['’])t|cannot|unable|not\ able|won['’]t)
      | i\ (?:can(?:no|['’])t|cannot|am\ unable\ to|am\ not\ able\ to|won['’]t)\ (?:help|assist|provide|process|read|extract
            |transcribe|fulfil|comply|do)
      | as\ an\ ai\b.{0,80}?\b(?:can(?:no|['’])t|cannot|unable)
      | (?:很?抱歉|对不起|不好意思)[，,。\s].{0,30}?(?:无法|不能|没法|不便|不可以)
      | (?:我|本模型)(?:无法|不能)(?:提供|处理|识别|读取|回答|满足|协助|帮助)
    )""",
    re.IGNORECASE | re.VERBOSE,
)

_NOTHING = re.compile(
    r"""^\W*(?:
        (?:there\ (?:is|are)|the\ (?:image|picture|page)\ (?:contains|has|shows|does))\ (?:no|not\ (?:any|contain\ any))\b
            .{0,30}?(?:text|characters|words|content|tables?|formulas?|equations?).{0,60}
      | no\ (?:visible\ |readable\ |legible\ )?(?:text|characters|words|content|tables?|formulas?)\b.{0,60}
      | (?:the\ )?(?:image|picture|page)\ is\ (?:entirely\ |completely\ )?(?:blank|empty|white).{0,40}
      | (?:该|此|这张|图片|图像|图中|画面|页面)?(?:图片|图像|图中|画面|页面)?(?:中|内|里|上)?(?:没有|无|未(?:发现|检测到|包含|识别到)|不包含|不含)
            (?:任何)?(?:可(?:识别|读)的?)?(?:文字|文本|字符|内容|表格|公式).{0,20}
      | (?:图片|图像|页面|画面)(?:是|为)?空白.{0,10}
    )\W*$""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def declines(answer: str) -> bool:
    """Whether the whole answer is a refusal, in English or Chinese."""
    text = answer.strip()
    return len(text) <= _LONGEST_SENTENCE and "\n\n" not in text and _DECLINES.search(text) is not None


def says_nothing_to_read(answer: str) -> bool:
    """Whether the whole answer says that the picture holds nothing to read, in English or Chinese."""
    text = answer.strip()
    return len(text) <= _LONGEST_SENTENCE and _NOTHING.search(text) is not None
