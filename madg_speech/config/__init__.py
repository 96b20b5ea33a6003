"""Configuration: what a YAML file may say, checked key by key, with a sentence for each field."""
