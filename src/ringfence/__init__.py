"""A contact-centre platform whose every endpoint is fenced by one OAuth scope."""

__version__ = "0.1.0"
