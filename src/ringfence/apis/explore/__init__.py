"""Historical reports."""
