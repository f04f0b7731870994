"""The groups that calls ring in."""
