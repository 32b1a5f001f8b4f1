"""Hostile requests over the wire, against a real server."""
