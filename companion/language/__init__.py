"""Language models: scoring, generation, search, speculative decoding, n-grams, tokenizers."""
