"""Starts interactions that a flow handles."""
