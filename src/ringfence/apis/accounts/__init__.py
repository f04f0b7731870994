"""The account that a token belongs to."""
