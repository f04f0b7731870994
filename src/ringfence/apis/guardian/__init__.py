"""What Guardian detected, and what it knows of sessions, people and how calls sounded."""
