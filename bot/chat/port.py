"""What every chat can do, and the words in which the bot speaks with all of them."""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple, Protocol

from bot.people import Who


class Lane(IntEnum):
    """What goes first. What is urgent has room kept free for it, and overtakes all that waits."""

    URGENT = 0
    NOTICE = 1
    INFO = 2


class How(StrEnum):
    """How a person said it."""

    TYPED = "typed"
    PRESSED = "pressed"


class Place(NamedTuple):
    """Where something was said or is to be said. `topic` is a forum topic or a thread, 0 for none."""

    surface: str
    chat: int
    topic: int = 0


class Message(NamedTuple):
    """Something a person wrote or pressed. `key` is the same when the same message is told twice.

    `at` is when it was written, by the platform's clock. `text` of a pressed button is the button's `data`.
    `private` is whether nobody but the person reads the answer.
    """

    text: str
    who: Who
    key: str
    place: Place
    at: datetime
    how: How = How.TYPED
    private: bool = True


class Button(NamedTuple):
    """Something to press. `data` comes back as the text of a message: at most 60 ASCII characters."""

    label: str
    data: str


class Said(NamedTuple):
    """What the bot says.

    Plain text. Lines between two lines of ``` are a table and keep their columns. `buttons` are rows. `thread` names
    what it is about: what has the same one is told under the first message of it. `update` names a message that is
    replaced by the next one of that name instead of being said again. `only` lets nobody but who asked read it, where a
    platform can do that. `picture` is a PNG.
    """

    text: str
    buttons: tuple[tuple[Button, ...], ...] = ()
    thread: str = ""
    update: str = ""
    only: bool = False
    picture: bytes = b""


class Chat(Protocol):
    """A place to talk."""

    source: str

    def messages(self) -> AsyncIterator[Message]:
        """What people write, in order, until the chat ends. One that was not answered before a crash comes again."""

    async def answer(self, message: Message, said: Said) -> None:
        """Say it where the message was written; nothing where the text is empty. The message does not come again."""

    async def tell(self, said: Said, lane: Lane) -> None:
        """Say it to everybody who listens."""
