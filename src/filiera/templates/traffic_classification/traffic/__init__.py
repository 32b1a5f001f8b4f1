"""What we know about network traffic: plain Python, used by the steps."""
