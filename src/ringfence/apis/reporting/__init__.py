"""Historical reports: the older interface."""
