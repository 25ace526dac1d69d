"""Sentences with which a model says that it will not read, or that there is nothing to read.

Letters say such things too, so only an answer that is nothing but such a sentence, about reading a picture, counts: a
page that is lost to a wrong guess is worse than a refusal that is taken for text.
"""

from __future__ import annotations

import re

_LONGEST_SENTENCE = 400
"""Characters; a longer answer is a transcript, whatever it begins with."""

_PICTURE_EN = r"(?:image|picture|photo|photograph|document|page|screenshot|scan|file|text|content|request|information)"
_PICTURE_ZH = r"(?:图片|图像|照片|图中|图里|文档|文件|页面|画面|截图|内容|文字|文本|信息|请求|要求)"
_CANNOT_EN = (
    r"(?:can(?:no|['’])?t|can\ not|cannot|unable\ to|not\ able\ to|won['’]t|will\ not|not\ (?:comfortable|allowed))"
)
_READING_EN = (
    r"(?:help|assist|process|read|extract|transcribe|recogni[sz]e|analy[sz]e|view|see|open|access|identify|describe"
    r"|provide|fulfil+|comply|complete|perform|output|convert)"
)
_SORRY_EN = r"(?:(?:i['’]?\ ?a?m\ |i\ am\ )?(?:very\ |so\ )?sorry|i\ apologi[sz]e|apologies|unfortunately)[,.;:!\s]\W*"
_CANNOT_ZH = r"(?:无法|不能|没法|不便|不可以|没有办法|没有能力|拒绝)"
_UNCLEAR_EN = r"(?:blurry|blurred|dark|faint|small|unclear|distorted|pixelated|low\ in\ (?:quality|resolution))"
_READING_ZH = r"(?:提供|处理|识别|读取|回答|满足|协助|帮助|提取|查看|分析|访问|打开|完成|执行|输出|转录|辨认|解析|响应)"

_BETWEEN_EN = r"""(?:\W+(?:
    with|the|any|this|that|these|you|your|from|in|of|on|out|provided|given|uploaded|attached|text|texts|content|contents
    |information|an|a|to|or|and|read|extract|process|transcribe|visible|actual|requested
)){0,8}?\W+"""
_SEEN_EN = r"(?:(?:visible|readable|legible|recogni[sz]able|discernible|extractable|textual|actual|other)\ ){0,2}?"
_SOMETHING_EN = (
    r"(?:text|characters?|words?|writing|content|tables?|formulas?|equations?|key[-\ ]value\ pairs?|fields?)"
)
_SOMETHING_ZH = r"(?:文字|文本|字符|内容|表格|公式|字段|信息|汉字)"

_DECLINES = (
    rf"""(?:{_SORRY_EN})?(?:but\ |that\ |for\ )*(?:i|we)(?:['’]m|\ am|\ are)?\ {_CANNOT_EN}\W+(?:\w+\W+)?{_READING_EN}\b
        {_BETWEEN_EN}{_PICTURE_EN}s?\b""",
    rf"""{_SORRY_EN}(?:but\ )?(?:this|the)\ {_PICTURE_EN}\ can(?:not|['’]t)\ be
        \ (?:read|processed|transcribed|opened)""",
    rf"""(?:{_SORRY_EN})?(?:but\ )?(?:this|the)\ (?:text\ (?:in|on|of)\ (?:this|the)\ )?(?:provided\ )?{_PICTURE_EN}
        \ (?:is|appears|seems|looks)\ (?:to\ be\ )?too\ {_UNCLEAR_EN}(?:\ (?:and|or)\ {_UNCLEAR_EN})?
        \ (?:to|for\ me\ to)\ (?:be\ )?{_READING_EN}\w*\b.{{0,60}}?\W*\Z""",
    rf"""as\ an?\ (?:ai|language\ model|ocr)\b.{{0,80}}?\b{_CANNOT_EN}\b""",
    r"""(?:i['’]?m\ |i\ am\ )?sorry,?\W+(?:but\W+)?i\ (?:can(?:no|['’])?t|cannot)\ (?:help|assist)(?:\ you)?
        \ with\ (?:that|this)""",
    rf"""(?:很|非常)?(?:抱歉|对不起|不好意思)[，,。！!\s]*(?:但)?
        (?:我|本模型|作为[^，。]{{0,12}}[，,]?我?|您的|该|这|此|由于[^，。]{{0,30}}[，,])?
        .{{0,12}}?{_CANNOT_ZH}.{{0,12}}?{_READING_ZH}.{{0,60}}?(?:{_PICTURE_ZH}|您)""",
    rf"""(?:我|本模型|作为[^，。]{{0,16}}模型[，,]?我?)(?:目前|暂时)?
        {_CANNOT_ZH}.{{0,12}}?{_READING_ZH}.{{0,30}}?{_PICTURE_ZH}""",
    rf"""(?:(?:很|非常)?(?:抱歉|对不起)[，,])?(?:由于|因)?(?:该|此|这张|您提供的)?{_PICTURE_ZH}(?:中|上)?的?(?:文字|内容)?
        (?:过于|太过?|非常|较为|比较|很)?(?:模糊|不清晰|不清楚|不清|昏暗)[，,]?(?:导致|因此|所以)?(?:{_CANNOT_ZH}|难以)
        (?:准确|正确|有效)?地?{_READING_ZH}.{{0,12}}?\W*\Z""",
    rf"""(?:很|非常)?(?:抱歉|对不起)[，,]?我?{_CANNOT_ZH}(?:提供|给您|为您)?(?:相关|这方面)?的?
        (?:协助|帮助|服务|回答|满足)\W*\Z""",
)
_NOTHING = (
    rf"""there\ (?:is|are|does|seems\ to\ be|appears\ to\ be)(?:\ |n['’]t\ )(?:no|not\ any|any)
        \ {_SEEN_EN}{_SOMETHING_EN}(?:\ or\ {_SOMETHING_EN})?
        (?:\ (?:\w+\ ){{0,2}}?(?:in|on|within)\ (?:the|this)\ (?:provided\ |given\ )?{_PICTURE_EN}.{{0,40}})?\W*\Z""",
    rf"""(?:the|this)\ (?:provided\ |given\ |uploaded\ )?{_PICTURE_EN}
        \ (?:contains|has|shows|does|appears\ to\ (?:contain|have))(?:\ |n['’]t\ )
        (?:no|not|contain|have|any|\ )+\ {_SEEN_EN}{_SOMETHING_EN}(?:\ or\ {_SOMETHING_EN})?
        (?:\ (?:to|that\ can)\ (?:be\ )?(?:read|extract|transcribe|recogni[sz]e|convert)\w*)?\W*\Z""",
    # Of an empty list a page says "No content available" itself.
    rf"""no\ {_SEEN_EN}(?!content\b){_SOMETHING_EN}(?:\ content)?(?:\ (?:was|were|is|are|could\ be|can\ be))?
        (?:\ (?:found|detected|visible|present|recogni[sz]ed|available))?
        (?:\ (?:in|on)\ (?:the|this)\ {_PICTURE_EN})?\W*\Z""",
    rf"""(?:the|this)\ {_PICTURE_EN}\ (?:is|appears\ to\ be|seems\ to\ be)\ (?:entirely\ |completely\ |just\ |a\ )?
        (?:blank|empty|(?:(?:all|plain|pure)\ )?(?:white|black))(?:\ {_PICTURE_EN})?
        (?:[,.]?\ (?:with\ no|with\ nothing|without|and\ contains?\ no|it\ contains\ no|there\ is\ no|so)\b.{{0,80}})?
        \W*\Z""",
    r"""\(?(?:blank|empty)\ (?:page|image)\)?\W*\Z""",
    r"""(?<=[(<\[（【])(?:blank|empty|空白)(?=[)>\]）】])\W*\Z""",
    rf"""(?:该|此|这张|这幅|这个|本|您提供的|提供的)?(?:图片|图像|照片|图|页面|画面|文档|页)(?:中|内|里|上|里面)?(?:似乎|好像)?
        (?:没有|并无|无|未(?:发现|检测到|包含|识别到|见|找到)|不包含|不含|不存在)(?:有|包含|出现|显示)?(?:任何)?
        (?:可(?:供)?(?:识别|读|辨认|提取|见)(?:取)?的?|明显的?|可见的?)?
        {_SOMETHING_ZH}{{1,2}}(?:[，,。](?:是|为|只|仅|因此|所以)?.{{0,30}})?\W*\Z""",
    rf"""(?:没有|未)(?:检测|识别|发现|找)(?:到|出)?(?:任何)?(?:可识别的?)?{_SOMETHING_ZH}{{1,2}}\W*\Z""",
    rf"""(?:该|此|这张|这是一张|这是)?(?:图片|图像|页面|画面)?(?:是|为)?(?:一张|一片|全)?(?:空白|纯白|全白)的?
        (?:图片|图像|页面|页|画面)?(?:[，,](?:上面|其中|里面)?(?:没有|并无|无|不含)(?:任何)?{_SOMETHING_ZH}{{1,2}})?\W*\Z""",
)


def _compiled(sentences: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"\W*(?:{sentence})", re.IGNORECASE | re.VERBOSE | re.DOTALL) for sentence in sentences)


_DECLINING = _compiled(_DECLINES)
_NOTHING_TO_READ = _compiled(_NOTHING)


def declines(answer: str) -> bool:
    """Whether the whole answer is a refusal to read the picture, in English or Chinese."""
    return _is_one_of(_DECLINING, answer)


def says_nothing_to_read(answer: str) -> bool:
    """Whether the whole answer says that the picture holds nothing to read, in English or Chinese."""
    return _is_one_of(_NOTHING_TO_READ, answer)


def _is_one_of(sentences: tuple[re.Pattern[str], ...], answer: str) -> bool:
    text = answer.strip()
    if not text or len(text) > _LONGEST_SENTENCE or text.count("\n") > 1:
        return False
    return any(sentence.match(text) is not None for sentence in sentences)
