"""HTTP: the catalogue's operations made into endpoints. The only package that knows the web framework."""
