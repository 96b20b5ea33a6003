"""Draws results: one page that needs no network, and the same tables as Markdown."""
