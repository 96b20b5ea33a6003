"""Runs systems over manifests, scores what they said, groups and compares the scores."""
