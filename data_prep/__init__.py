"""Readers of corpora: local archive or folder in, manifests out, and nothing else."""
