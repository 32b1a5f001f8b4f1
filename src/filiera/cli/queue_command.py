"""``filiera queue``: hands on to the module of its verb, ``cli/queue_VERB.py``."""

from filiera.cli.groups import run as run
