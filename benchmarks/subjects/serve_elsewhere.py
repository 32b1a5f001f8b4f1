"""Filiera as an application for other servers."""

import os

from filiera.asgi import application

app = application(os.environ["SERVED"])
