"""Normalisation, romanisation and vocabularies."""
