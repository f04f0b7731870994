"""Whole contact centres out of a file, and the demo among them."""
