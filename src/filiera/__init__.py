"""Filiera: one chain from sources to a watched service."""

__version__ = "0.1.0"
