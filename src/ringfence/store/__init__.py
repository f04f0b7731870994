"""State: one database port with two engines, the event log, the work queue, the vault of secrets."""
