"""What we know about banners: plain Python, used by the steps."""
