"""The lesson on audio: spectrograms, a flow that speaks, a listener."""
