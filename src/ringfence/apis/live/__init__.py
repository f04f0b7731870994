"""Live figures of the contact centre, as streams."""
