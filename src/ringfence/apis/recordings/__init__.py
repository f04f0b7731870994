"""What was said on calls."""
