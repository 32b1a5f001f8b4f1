"""``filiera experiment``: hands on to the module of its verb, ``cli/experiment_VERB.py``."""

from filiera.cli.groups import run as run
