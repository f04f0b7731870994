"""Places a caller in queue without waiting on hold."""
