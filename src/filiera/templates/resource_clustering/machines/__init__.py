"""What we know about machines: plain Python, used by the steps."""
