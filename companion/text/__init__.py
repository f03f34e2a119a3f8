"""Chapter 3.4, text: tokenizers, GPT, Llama, today's block, T5 and its span corruption, decoding."""
