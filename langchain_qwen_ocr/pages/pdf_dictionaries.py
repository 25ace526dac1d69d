"""What a PDF says outside its streams, searched without reading the streams.

Dictionaries of pictures are never compressed, so their text can be searched. Nearly all of a scanned document is
pictures, and each dictionary says how long its stream is: they are jumped over where that is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

_BLOCK_BYTES = 4096
_OVERLAP_BYTES = 1024
"""What of a block is looked at again with the next: longer than a dictionary of a picture."""

_STREAM = re.compile(rb"(?<!end)stream(?:\r?\n|\r)")
_LENGTH = re.compile(rb"/Length\s+(\d{1,15})(?=\s*[/>])")
_STREAM_END = re.compile(rb"\s*endstream")
_MASKED = re.compile(rb"/(?:Decode\s*\[\s*1|Decode\s+\d+\s+\d+\s+R|OC\s+\d+\s+\d+\s+R|Mask\s*\[)")


def has_masked_pictures(file: BinaryIO) -> bool:
    """Whether a picture may look other than its file: inverted by /Decode, with a colour left out, on a layer."""
    return any(_MASKED.search(text) is not None for text in outside_streams(file))


def outside_streams(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a PDF in overlapping pieces, without streams whose length is said and true."""
    before = b""
    while block := file.read(_BLOCK_BYTES):
        text = before + block
        start = _STREAM.search(text)
        if start is None:
            yield text
            before = text[-_OVERLAP_BYTES:]
            continue
        head = text[: start.end()]
        yield head
        begin = file.tell() - len(text) + len(head)
        file.seek(_stream_end(file, begin, head) or begin)
        before = b""


def _stream_end(file: BinaryIO, begin: int, head: bytes) -> int | None:
    """Where the stream that begins there ends; None when its dictionary, the last of *head*, does not say so."""
    said = _LENGTH.search(head, head.rfind(b" obj") + 1)
    if said is None:
        return None
    end = begin + int(said[1])
    file.seek(end)
    return end if _STREAM_END.match(file.read(16)) else None
