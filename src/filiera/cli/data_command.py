"""``filiera data``: hands on to the module of its verb, ``cli/data_VERB.py``."""

from filiera.cli.groups import run as run
