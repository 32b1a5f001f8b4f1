"""``filiera predictions``: hands on to the module of its verb, ``cli/predictions_VERB.py``."""

from filiera.cli.groups import run as run
