"""The contact centre that stands behind the APIs: what several of them do to the shared nucleus."""
