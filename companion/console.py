"""Text on a console that lacks some of its characters, as Windows' with code page 1252 lacks ✓.

Python's answer is a `UnicodeEncodeError` in the middle of the work. Here such a character is written as one that every
console has.
"""

import codecs
import sys

_INSTEAD = {"✓": "+", "✗": "x", "→": "->", "–": "-", "−": "-", "≤": "<=", "≥": ">=", "“": '"', "”": '"'}


def write_anything() -> None:
    """From now on standard output takes every character; those that it lacks are replaced, the others as they were."""
    try:
        "✓✗→Ω\ud800".encode(sys.stdout.encoding or "utf-8", sys.stdout.errors or "strict")
    except UnicodeEncodeError:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="companion.instead")
    except (AttributeError, LookupError):  # not a stream of text, or None, as where there is no console
        return


def _instead(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    known = "".join(_INSTEAD.get(character) or _escaped(character) for character in missing)
    return known, error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error("companion.instead", _instead)
