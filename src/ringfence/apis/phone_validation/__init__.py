"""What is known of a phone number."""
