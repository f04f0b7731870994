"""The fence: scope grants with a life, the view of them that every request is checked against, and the gate."""
