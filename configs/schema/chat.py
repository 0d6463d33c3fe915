"""Who may talk to the desk, from where, and where it talks. Closed by default: nobody is named, nobody is answered."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Account = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""The number of an account at a platform; 0 for none."""

RESERVED = frozenset({"console", "all"})
"""Names that nobody can have."""


class PersonSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody, under the same name on every platform."""

    name: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z][a-z0-9_-]*$")]
    role: Literal["viewer", "trader", "admin", "owner"] = "viewer"
    telegram: Account = 0
    discord: Account = 0


class TelegramSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A bot at Telegram. `chats` are told the alerts; the token is in the environment or a file, never here."""

    enabled: bool = False
    chats: tuple[Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)], ...] = ()
    topic: Account = 0
    url: str = "https://api.telegram.org"
    poll_s: Annotated[float, Meta(ge=0, le=50)] = 25.0


class DiscordSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A bot at Discord: its server, and the channel that is told the alerts."""

    enabled: bool = False
    guild: Account = 0
    channel: Account = 0


class ChatSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The desk's chats.

    `key_file` holds the tokens where the environment does not. `confirm_s` is how long a question for confirmation may
    be answered, `two_person_s` one that needs another person. `charts` are drawn on a dark or on a light ground.
    """

    key_file: str = ""
    people: tuple[PersonSettings, ...] = ()
    telegram: TelegramSettings = TelegramSettings()
    discord: DiscordSettings = DiscordSettings()
    confirm_s: Annotated[float, Meta(ge=10, le=900)] = 60.0
    two_person_s: Annotated[float, Meta(ge=10, le=900)] = 120.0
    charts: Literal["dark", "light"] = "dark"

    def __post_init__(self) -> None:
        for what in ("name", "telegram", "discord"):
            told = [getattr(person, what) for person in self.people if getattr(person, what)]
            twice = sorted({str(each) for each in told if told.count(each) > 1})
            if twice:
                raise ValueError(f"chat.people: {what} {', '.join(twice)} is named twice")
        for name in RESERVED & {person.name for person in self.people}:
            raise ValueError(f"chat.people: {name} is a name of the desk's own")
        chats = self.telegram.chats
        if 0 in chats or len(set(chats)) < len(chats):
            raise ValueError(f"chat.telegram.chats: expected numbers of chats, each once, was {list(chats)}")
        if self.telegram.enabled and not chats:
            raise ValueError("chat.telegram.chats is empty: alerts would reach nobody; name a chat")
        if self.discord.enabled and not (self.discord.guild and self.discord.channel):
            raise ValueError(
                "chat.discord: guild and channel are needed, was"
                f" guild {self.discord.guild}, channel {self.discord.channel}"
            )
