"""The authorization server: clients, keys, tokens, grants, logins and consents."""
