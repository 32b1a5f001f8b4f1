"""A worker that answers with the standard library alone, does what it is asked to, and notes what it has done.

Started as ``python -m tests.supervision.small_worker FOLDER SERVICE ADDRESS LISTENER MODE``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from filiera.supervision.tie import Tie

PATH = "/v1/functions/work:call"


def note(folder: Path, word: str) -> None:
    """Note for ever that something was done; one write, so that lines stay whole."""
    file = os.open(folder / "done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{word}\n".encode())
    os.close(file)


async def work(folder: Path, order: dict[str, Any]) -> int:
    """Do what is ordered; return the status."""
    match order.get("do", ""):
        case "wait":
            while not (folder / "gate").exists():
                await asyncio.sleep(0.01)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "fail":
            return 500
    note(folder, str(order.get("word", "")))
    return 200


class Running:
    """How busy this worker is, and what ends it."""

    def __init__(self) -> None:
        self.in_flight = self.requests = 0
        self.stopped = asyncio.Event()

    def stop(self) -> None:
        """Begin to end."""
        self.stopped.set()


async def serve(folder: Path, service: str, address: str, listener: int) -> None:
    """Answer until told to end."""
    tie = Tie(folder, listener, service=service, address=address)
    running = Running()
    callers: set[object] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
            order = json.loads(await reader.readexactly(length) or b"{}")
            running.requests += 1
            running.in_flight += 1
            try:
                status = await work(folder, order)
            finally:
                running.in_flight -= 1
            body = f'{{"pid": {os.getpid()}}}'.encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            callers.discard(writer)

    server = await asyncio.start_server(answer, sock=socket.socket(fileno=os.dup(listener)))
    holding = asyncio.create_task(tie.hold(running, {"": PATH}))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.stop)
    await running.stopped.wait()
    server.close()
    await asyncio.sleep(0.05)  # who was accepted just now has a task by then
    while callers:
        await asyncio.sleep(0.01)
    holding.cancel()


def main() -> int:
    """Work, unless the mode is to fail."""
    folder, service, address, listener, mode = sys.argv[1:]
    if mode == "broken" or (mode == "mendable" and not (Path(folder) / "mended").exists()):
        return 7
    asyncio.run(serve(Path(folder), service, address, int(listener)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
