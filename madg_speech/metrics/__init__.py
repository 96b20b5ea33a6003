"""Word, character and phone error rates; bootstrap intervals."""
