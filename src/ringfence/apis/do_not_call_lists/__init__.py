"""Whom not to call."""
