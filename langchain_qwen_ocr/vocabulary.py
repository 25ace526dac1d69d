"""How many tokens a text is to the Qwen2 … Qwen3-VL models, counted without a network.

`qwen-vl-ocr-2025-11-20` and the snapshots before it read with this vocabulary. Qwen3.5 and later have
another one (248,320 entries): a count made here is an estimate for them.

The ranks are those that Alibaba Cloud publishes in its package `dashscope` under Apache-2.0, repacked as
`data/qwen_ranks.xz`; `data/NOTICE.md` says how. The pattern and the normalisation to NFC are those of the
same package; the special tokens are numbered as in the tokenizer configuration of Qwen2-VL.
"""

import functools
import lzma
import re
import unicodedata
from importlib import resources

import tiktoken

_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)

_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""In the order of their numbers, which follow the last rank."""

# tiktoken's regular expression overflows its stack on a run of a million spaces, and older releases take
# quadratic time for one long word, so a text is counted in stretches. The pattern always ends a piece between
# a letter or digit and a character that is neither: a stretch that ends there changes no count.
_STRETCH = re.compile(r".{0,2047}[^\W_](?=\W|\Z)|.{1,2048}", re.DOTALL)


def count_tokens(text: str) -> int:
    """The number of tokens of *text*, as the models named above see it.

    Names of special tokens, such as `<|im_end|>`, count as the ordinary text that they are in a document; a
    lone surrogate counts as the replacement character. Any text has a count, and it is exact but for runs of
    over 2,048 characters in which no letter or digit is followed by anything else: there it can be a token
    or two off for each 2,048.
    """
    encoding = qwen_encoding()
    stretches = _STRETCH.findall(unicodedata.normalize("NFC", text))
    return sum(len(encoding.encode_ordinary(stretch)) for stretch in stretches)


@functools.cache
def qwen_encoding() -> tiktoken.Encoding:
    """The tokenizer itself, built on the first call: about 0.2 s and 60 MB, once in a process."""
    tokens = unpack_tokens(resources.files(__package__).joinpath("data/qwen_ranks.xz").read_bytes())
    return tiktoken.Encoding(
        "qwen",
        pat_str=_PATTERN,
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={name: number for number, name in enumerate(_SPECIAL_TOKENS, start=len(tokens))},
    )


def pack_tokens(tokens: list[bytes]) -> bytes:
    """The content of a packed file: *tokens* in rank order, each after one byte with its length."""
    content = b"".join(bytes([len(token)]) + token for token in tokens)
    return lzma.compress(content, preset=6 | lzma.PRESET_EXTREME)


def unpack_tokens(packed: bytes) -> list[bytes]:
    """The tokens of a packed file, in rank order."""
    content = lzma.decompress(packed)
    tokens = []
    start = 0
    while start < len(content):
        end = start + 1 + content[start]
        tokens.append(content[start + 1 : end])
        start = end
    return tokens
