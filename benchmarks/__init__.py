"""How fast, against what: each figure is a ratio taken in one run, on one machine."""
