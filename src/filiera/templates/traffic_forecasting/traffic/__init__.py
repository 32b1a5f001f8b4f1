"""What we know about traffic and forecasts: plain Python, used by the steps."""
