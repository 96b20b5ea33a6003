"""Shared fixtures: nothing here needs the network or data outside the repository."""
