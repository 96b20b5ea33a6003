"""Recipes: YAML configurations and run scripts, one folder a corpus or study."""
