"""`qwen-ocr`: reading from the command line.

Results go to standard output or to files, everything said to a person goes to standard error, and the exit code is
that of the first error (see `errors`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from langchain_qwen_ocr.cli.commands import SIGNALLED
from langchain_qwen_ocr.cli.options import parser
from langchain_qwen_ocr.cli.output import say
from langchain_qwen_ocr.errors import QwenOCRError

_BROKEN_PIPE = 141
_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A Windows console may know no Chinese.
            stream.reconfigure(encoding="utf-8", errors="replace")
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except QwenOCRError as error:
        say(f"qwen-ocr: {error}")
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more can be written, also not at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        # A full disk, a folder that may not be written to: nothing of ours, and no reason for a traceback.
        say(f"qwen-ocr: {error}")
        return _FAILED
    except KeyboardInterrupt as interrupt:
        say("qwen-ocr: interrupted; with --out, the same command and --resume goes on from here.")
        return SIGNALLED + (interrupt.args[0] if interrupt.args else signal.SIGINT)
