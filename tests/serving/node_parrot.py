"""A node that says what it was given; it ends when it is given a number below 0, and sleeps for one above 100."""

import math
import os
import signal
import socket
import sys

import msgspec
import numpy as np

from filiera.core.signature import Field
from filiera.serving.node_wire import Ask, Incoming, Told, batch_of, packed_outputs, send

NUMBER = (Field(name="size", type="float64"),)

with socket.socket(fileno=int(sys.argv[1])) as connection:
    send(connection, Told(number=0))
    incoming = Incoming(connection)
    while True:
        ask = msgspec.msgpack.decode(incoming.receive(), type=Ask)
        sizes = np.asarray(batch_of(ask, NUMBER).column(0))
        if sizes.min() < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if sizes.max() > 100:
            continue  # no answer ever comes
        left = math.inf if ask.left_s is None else ask.left_s
        send(connection, Told(number=ask.number, outputs=packed_outputs((sizes, np.full(len(sizes), left)))))
