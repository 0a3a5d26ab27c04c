"""Scripts that make the example, the evaluation datasets, the encoder and the reference."""
