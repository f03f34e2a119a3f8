"""Chapter 3.4, text: tokenizers, GPT, Llama, today's block, span corruption, decoding."""
