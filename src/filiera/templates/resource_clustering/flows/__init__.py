"""Pipelines: each is a function over steps."""
