"""What every chat can do."""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from bot.people import Person


class Message(NamedTuple):
    """Something a person wrote. `key` is the same when the same message is told twice."""

    text: str
    person: Person
    key: str


class Chat(Protocol):
    """A place to talk."""

    source: str

    def messages(self) -> AsyncIterator[Message]:
        """What people write, in order, until the chat ends."""

    async def send(self, text: str) -> None:
        """Say something to everybody who listens."""
