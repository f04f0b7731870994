"""Time when agents are away, and files of it."""
