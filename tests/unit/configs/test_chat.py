from pathlib import Path
from typing import Any

import pytest

from configs.load import SettingsError, convert

WHERE = Path("desk.yaml")


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        ({"telegram": {"enabled": True}}, "chat.telegram.chats is empty: alerts would reach nobody"),
        (
            {"telegram": {"chats": [0]}},
            r"chat.telegram.chats: expected numbers of chats, each once, was \[0\]",
        ),
        ({"telegram": {"chats": [5, 5]}}, r"each once, was \[5, 5\]"),
        ({"discord": {"enabled": True}}, "guild and channel are needed, was guild 0, channel 0"),
        ({"discord": {"enabled": True, "guild": 7}}, "was guild 7, channel 0"),
        ({"people": [{"name": "console"}]}, "console is a name of the desk's own"),
        ({"people": [{"name": "ann"}, {"name": "ann"}]}, "name ann is named twice"),
        (
            {"people": [{"name": "ann", "telegram": 5}, {"name": "bob", "telegram": 5}]},
            "telegram 5 is named twice",
        ),
        ({"people": [{"name": "ann", "telegram": -5}]}, "was -5"),
        ({"people": [{"name": "ann", "role": "king"}]}, "'king'"),
        ({"confirm_s": 1}, "confirm_s"),
    ],
)
def test_a_chat_that_cannot_be_is_one_line(chat: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as refused:
        convert({"chat": chat}, {}, WHERE)

    assert "\n" not in str(refused.value)


def test_people_and_chats_that_can_be_are_taken() -> None:
    chat = {
        "people": [{"name": "ann", "role": "owner", "telegram": 5, "discord": 6}, {"name": "bob"}],
        "telegram": {"enabled": True, "chats": [5, -1001234567890]},
        "discord": {"enabled": True, "guild": 7, "channel": 8},
    }

    settings = convert({"chat": chat}, {}, WHERE)

    assert [person.name for person in settings.chat.people] == ["ann", "bob"]
