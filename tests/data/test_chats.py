"""Chats: how many, what is blacked out, that splits share nothing, and what a missing carrier says."""

import pytest

from companion.data.carriers import MissingCarrier
from companion.data.chats import Chat, _all_chats, anonymous, chats, is_writing, one_turn


def test_sizes_and_licence() -> None:
    everything = chats("all")
    assert len(everything) == 4_016 and everything.license == "MIT"
    assert sum(chat.moved for chat in everything.chats) == 2_377
    assert all(len(chat.turns) > 1 and all(chat.turns) for chat in everything.chats)
    assert all(
        chat.rating is None or (len(chat.rating) == 3 and 1 <= min(chat.rating) and max(chat.rating) <= 10)
        for chat in everything.chats
    )
    assert "2377 with a rating" in repr(everything)
    assert not any("@gmail" in turn or "http://" in turn for chat in everything.chats for turn in chat.turns)


def test_splits_share_no_conversation_and_a_limit_takes_the_first() -> None:
    parts = {split: {chat.turns for chat in chats(split).chats} for split in ("train", "valid", "test")}
    assert (
        not parts["train"] & parts["valid"]
        and not parts["train"] & parts["test"]
        and not parts["valid"] & parts["test"]
    )
    assert chats("valid", limit=7).chats == chats("valid").chats[:7]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("write to ann.b@mail.org  now", "write to [name] now"),
        ("i am @ann", "i am [name]"),
        ("see www.page.com/x", "see [address]"),
        ("https://a.b ok", "[address] ok"),
        ("call 801-555 1234!", "call [number]!"),
        ("123456 points", "123456 points"),
        ("see you @ 8", "see you @ 8"),
    ],
)
def test_private_things_are_blacked_out(written: str, left: str) -> None:
    assert anonymous(written) == left


def test_a_turn_of_several_messages_and_what_is_no_writing() -> None:
    assert one_turn(["Hello", "are you there?", "I am"]) == "Hello. are you there? I am"
    assert one_turn(["Hi"]) == "Hi"
    assert is_writing(("hello", "i am here")) and is_writing(("i'm", "ok a"))
    assert not is_writing(("a a a", "f f")) and not is_writing(("?", "a hello"))


def test_moved_sliders() -> None:
    assert (
        not Chat(("a", "b"), None).moved and not Chat(("a", "b"), (5, 5, 5)).moved and Chat(("a", "b"), (5, 5, 6)).moved
    )


def test_a_missing_carrier_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("companion.data.carriers.find_spec", lambda name: None)
    with pytest.raises(MissingCarrier, match="chitchat-dataset"):
        _all_chats.__wrapped__()  # what is kept stays for the other tests
