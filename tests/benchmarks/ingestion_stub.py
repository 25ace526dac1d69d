"""A chat-completions endpoint on the loopback that answers every request alike, after a fixed latency.

`python -m tests.benchmarks.ingestion_stub --latency-ms 300` prints its port and serves until its standard input ends
(so it never outlives the program that started it), or until a bound on requests or seconds is reached. `GET /stats`
says what was served since the last time somebody asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
from dataclasses import asdict, dataclass
from typing import cast

BUFFER_BYTES = 1 << 18
MAX_HEAD_BYTES = 1 << 16


@dataclass
class Served:
    """What the endpoint has seen."""

    requests: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    megabytes: float = 0.0

    def arrived(self) -> None:
        """A request's head is here."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def taken(self) -> str:
        """The counts as JSON; they start anew."""
        text = json.dumps(asdict(self))
        self.requests, self.peak_in_flight, self.megabytes = 0, self.in_flight, 0.0
        return text


def answer_body(lines: int = 40) -> bytes:
    """A chat completion of about two kilobytes with the text of a page."""
    text = "\n".join(
        f"{number}. Item {number * 7919 % 1000:03} delivered, {number * 31 % 97} pieces" for number in range(lines)
    )
    return json.dumps(
        {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": "qwen3.5-ocr",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}},
            ],
            "usage": {"prompt_tokens": 3800, "completion_tokens": 700, "total_tokens": 4500},
        }
    ).encode()


def http_reply(body: bytes) -> bytes:
    """*body* as an answer with status 200 on a connection that stays open."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class Connection(asyncio.BufferedProtocol):
    """One kept-alive connection; bodies are counted and thrown away unread."""

    def __init__(
        self, served: Served, reply: bytes, latency_s: float, finish: asyncio.Event, max_requests: int
    ) -> None:
        self._served = served
        self._reply = reply
        self._latency_s = latency_s
        self._finish = finish
        self._left = max_requests
        self._buffer = bytearray(BUFFER_BYTES)
        self._head = b""
        self._body_left = 0
        self._answering = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._body_left > 0:
            self._body_left -= nbytes
        else:
            self._head += self._buffer[:nbytes]
            self._read_head()
        if self._answering and self._body_left <= 0:
            self._answering = False
            asyncio.get_running_loop().call_later(self._latency_s, self._send)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering:
            self._served.in_flight -= 1
        self._transport = None

    def _read_head(self) -> None:
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(head) > MAX_HEAD_BYTES:
                self._close()
            return
        self._head = b""
        if head.startswith(b"GET /stats "):
            self._write(http_reply(self._served.taken().encode()))
            return
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0)
        self._served.arrived()
        self._served.megabytes += length / 1e6
        self._body_left = length - len(rest)
        self._answering = True
        if self._served.requests > self._left:
            self._finish.set()

    def _send(self) -> None:
        self._served.in_flight -= 1
        self._write(self._reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None:
            self._transport.write(reply)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def serve(latency_s: float, *, max_requests: int, max_seconds: float) -> None:
    """Prints the port, then answers until the end of the standard input or of the bounds."""
    loop = asyncio.get_running_loop()
    finish = asyncio.Event()
    served = Served()
    reply = http_reply(answer_body())

    def connection() -> Connection:
        return Connection(served, reply, latency_s, finish, max_requests)

    def wait_for_the_end_of_input() -> None:
        # Unbuffered: a thread that waits in sys.stdin would hold its lock while the interpreter ends.
        while os.read(0, 1):
            pass
        loop.call_soon_threadsafe(finish.set)

    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=wait_for_the_end_of_input, daemon=True).start()
    try:
        await asyncio.wait_for(finish.wait(), max_seconds)
    except TimeoutError:
        pass
    finally:
        server.close()


def main() -> None:
    """Serve as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=300.0)
    parser.add_argument("--max-requests", type=int, default=100_000)
    parser.add_argument("--max-seconds", type=float, default=1_800.0)
    options = parser.parse_args()
    asyncio.run(serve(options.latency_ms / 1000, max_requests=options.max_requests, max_seconds=options.max_seconds))


if __name__ == "__main__":
    main()
