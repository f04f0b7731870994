"""Guardian: what people did on the platform, how well they could hear, and what is out of the ordinary."""
