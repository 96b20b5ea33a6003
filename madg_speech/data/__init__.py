"""Manifests, language-smoothed sampling, batches and the frozen-prefix cache."""
