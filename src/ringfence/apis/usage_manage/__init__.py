"""What an account has to spend, and has spent."""
