"""Tasks on words: what a task adapter and a head learn on top of frozen language adapters."""
