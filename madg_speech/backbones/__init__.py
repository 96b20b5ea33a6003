"""Frozen audio transformers, one file per family."""
