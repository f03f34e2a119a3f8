"""The lesson on Sora: compression, transformer, flow, films."""
