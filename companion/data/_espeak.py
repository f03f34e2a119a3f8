"""A program of its own: speak a list of phrases with eSpeak NG and write the samples to standard output.

`companion.data.speech` runs it as a child process with nothing but the standard library. Two reasons: eSpeak NG is GPL-3 and
is called, never linked into the course; and its voices carry hidden state (flutter, noise) from one phrase to the next, so
the same list gives the same samples only in a process that has not spoken before.

Input, JSON: ``{"library": path, "data": path, "clips": [[voice, pitch, speed, text], ...]}``. Output: the sample rate as int32,
then for each clip its length as int32 and its samples as int16, all little-endian.
"""

import ctypes
import json
import struct
import sys

_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_RATE, _PITCH = 1, 3
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> None:
    order = json.load(sys.stdin)
    espeak = ctypes.CDLL(order["library"])
    heard: list[bytes] = []

    def keep(samples, count: int, _events) -> int:
        if samples and count > 0:
            heard.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(keep)  # a reference must stay alive while the library may call it
    rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, order["data"].encode(), _DONT_EXIT)
    if rate <= 0:
        sys.exit(f"eSpeak NG does not start with the data in {order['data']}")
    espeak.espeak_SetSynthCallback(callback)
    out = sys.stdout.buffer
    out.write(struct.pack("<i", rate))
    for voice, pitch, speed, text in order["clips"]:
        heard.clear()
        if espeak.espeak_SetVoiceByName(voice.encode()):
            sys.exit(f"eSpeak NG has no voice {voice!r}")
        espeak.espeak_SetParameter(_RATE, speed, 0)
        espeak.espeak_SetParameter(_PITCH, pitch, 0)
        phrase = text.encode()
        espeak.espeak_Synth(phrase, ctypes.c_size_t(len(phrase) + 1), 0, 0, 0, _UTF8, None, None)
        sound = b"".join(heard)
        out.write(struct.pack("<i", len(sound) // 2) + sound)


if __name__ == "__main__":
    main()
