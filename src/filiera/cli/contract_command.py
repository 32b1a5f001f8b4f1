"""``filiera contract``: hands on to the module of its verb, ``cli/contract_VERB.py``."""

from filiera.cli.groups import run as run
