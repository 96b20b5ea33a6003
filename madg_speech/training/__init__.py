"""Training runs on Hugging Face Trainer."""
