"""The people that the contact centre talks to."""
