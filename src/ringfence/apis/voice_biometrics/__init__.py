"""Who may be known by their voice."""
