"""Live figures: what goes on in a contact centre now and today, kept in memory and streamed as it changes."""
