"""A task of Celery that notes when it was called; as a program, puts messages for it, as standard input says.

Each line there has the first number and the one after the last; it is answered by the time at which Redis had them all.
"""

from __future__ import annotations

import os
import sys
import time

from celery import Celery

FILE = os.open("done", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
app = Celery("queue_celery", broker=os.environ["BROKER"])
# As in the queue of Filiera: a message is gone when it has been handled, and nobody keeps what came of it.
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task
def note(number: int) -> None:
    """Note when it was called."""
    os.write(FILE, f"{number} {time.time()}\n".encode())


if __name__ == "__main__":
    for line in sys.stdin:
        first, end = map(int, line.split())
        for number in range(first, end):
            app.signature("queue_celery.note", args=(number,)).apply_async()
        print(time.time(), flush=True)
