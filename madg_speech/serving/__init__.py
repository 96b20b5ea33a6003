"""The web page and the HTTP endpoint behind ``madg-speech serve``."""
