"""Where adapter weights come from: each source maps language codes to AdapterWeights."""
