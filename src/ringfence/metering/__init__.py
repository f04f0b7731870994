"""What is used, what it is drawn from, and what it costs: kept from the event log."""
