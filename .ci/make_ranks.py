"""Make `langchain_qwen_ocr/data/qwen_ranks.xz` from the published package, or check the file that is there.

    python .ci/make_ranks.py            downloads the package with pip, writes the file, checks it
    python .ci/make_ranks.py --check    checks the file that is there; needs no network

The check unpacks the file, writes the tokens in the published form and compares checksums, so it shows that
the ranks are those published, each token at its own rank.
"""

import argparse
import base64
import hashlib
import lzma
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from langchain_qwen_ocr.vocabulary import pack_tokens, unpack_tokens

PACKAGE = "dashscope==2.0.2"
SOURCE = "dashscope/resources/qwen.tiktoken"
SOURCE_SHA256 = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"
CONTENT_SHA256 = "d2fea2da75cd336e42a7b709b2d168a0f6108f909837964693079dad68a9736c"
PACKED = Path(__file__).parents[1] / "langchain_qwen_ocr" / "data" / "qwen_ranks.xz"


def download() -> bytes:
    """The published file, out of the package's wheel. Nothing of the package is installed or run."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--dest", folder, PACKAGE], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(SOURCE)


def published_tokens(source: bytes) -> list[bytes]:
    """The tokens of the published file, in rank order."""
    rows = [line.split() for line in source.splitlines()]
    by_rank = {int(rank): base64.b64decode(token) for token, rank in rows}
    return [by_rank[rank] for rank in range(len(rows))]


def published_form(tokens: list[bytes]) -> bytes:
    """*tokens* as the published file writes them: Base64, a blank, the rank, one a line."""
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def expect(what: str, content: bytes, sha256: str) -> None:
    """Stop unless *content* has the checksum *sha256*."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        sys.exit(f"{what}: SHA-256 is {found}, expected {sha256}")
    print(f"{what}: {len(content):,} bytes, SHA-256 {found}")


def main() -> None:
    """Make the file unless only the check is wanted, then check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only check the file that is there")
    if not parser.parse_args().check:
        source = download()
        expect(f"{SOURCE} of {PACKAGE}", source, SOURCE_SHA256)
        PACKED.write_bytes(pack_tokens(published_tokens(source)))
    packed = PACKED.read_bytes()
    expect(f"content of {PACKED.name}", lzma.decompress(packed), CONTENT_SHA256)
    expect(f"{PACKED.name} in the published form", published_form(unpack_tokens(packed)), SOURCE_SHA256)


if __name__ == "__main__":
    main()
