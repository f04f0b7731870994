"""One package per API: `api.py` is what the world sees, `domain.py` what it means."""
