"""What people are good at."""
