"""The first talk with a bot at Telegram: whose token it is, who writes to it, and a first message back."""

import asyncio
from typing import NamedTuple

from telegram import Update
from telegram.error import Conflict, Forbidden, InvalidToken, NetworkError, TelegramError

from bot.chat.telegram_wire import line
from bot.people import Who
from engine.core.domain.errors import BadInput, Refused

POLL_S = 20
MOST_WRONG = 20
"""So many messages may be something else."""


class Met(NamedTuple):
    """Who wrote the word, and the chat in which they did."""

    who: Who
    chat: int


class FirstTalk:
    """One bot, before the desk knows it. `url` is where its API is. Every failure is a line without the token."""

    def __init__(self, token: str, url: str) -> None:
        self._line = line(token, url)
        self._bot = self._line.bot
        self._offset = 0

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._line.close()

    async def name(self) -> str:
        """What the bot is called. BadInput when Telegram does not know the token."""
        try:
            return (await self._bot.get_me()).username or ""
        except (InvalidToken, Forbidden):
            raise BadInput(
                "Telegram does not know this token: expected the one that @BotFather gave"
            ) from None
        except TelegramError as error:
            raise _unreached(error) from None

    async def forget(self) -> None:
        """Throw away what was written before now."""
        newest = await self._updates(-1, 0)
        self._offset = newest[-1].update_id + 1 if newest else 0

    async def wait_for(self, word: str, within_s: float) -> Met:
        """The first person who writes `word` in a private chat with the bot, or starts it with that.

        Refused when nobody does in time, or too many guess.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._listen(word)
        except TimeoutError:
            raise Refused(f"nobody wrote {word} to the bot within {within_s:.0f} s") from None

    async def _listen(self, word: str) -> Met:
        wrong = 0
        while True:
            for update in await self._updates(self._offset, POLL_S):
                self._offset = update.update_id + 1
                message = update.message
                if message is None or message.from_user is None or message.from_user.is_bot:
                    continue
                said = (message.text or "").strip().removeprefix("/start").strip()
                if message.chat.type == "private" and said == word:
                    who = Who("telegram", message.from_user.id, message.from_user.full_name)
                    await self._updates(self._offset, 0)
                    return Met(who, message.chat.id)
                wrong += bool(said)
                if wrong > MOST_WRONG:
                    raise Refused(
                        f"somebody guesses: {wrong} messages to the bot were not {word}; begin anew"
                    )

    async def _updates(self, offset: int, poll_s: int) -> tuple[Update, ...]:
        """What was written from that one on; what is before it is forgotten by Telegram."""
        try:
            return await self._bot.get_updates(offset, timeout=poll_s, allowed_updates=["message"])
        except Conflict:
            raise Refused(
                "somebody else reads this bot's messages: stop the desk that uses the token first"
            ) from None
        except TelegramError as error:
            raise _unreached(error) from None

    async def say(self, chat: int, text: str) -> None:
        """Plain text to a chat."""
        try:
            await self._bot.send_message(chat, text)
        except TelegramError as error:
            raise _unreached(error) from None


def _unreached(error: TelegramError) -> Refused:
    """What went wrong, by its kind alone: the words of the error may hold an address with the token in it."""
    kind = "does not answer" if isinstance(error, NetworkError) else "says no"
    return Refused(f"Telegram {kind} ({type(error).__name__})")
