"""The first talk with a bot at Telegram: whose token it is, who writes to it, and a first message back."""

import asyncio
from typing import NamedTuple

from telegram.error import Conflict, Forbidden, InvalidToken, NetworkError, TelegramError

from bot.chat.telegram_wire import line
from bot.people import Who
from engine.core.domain.errors import BadInput, Refused

POLL_S = 20


class Met(NamedTuple):
    """Who wrote the number, and the chat in which they did."""

    who: Who
    chat: int


class FirstTalk:
    """One bot, before the desk knows it. `url` is where its API is. Every failure is a line without the token."""

    def __init__(self, token: str, url: str) -> None:
        self._line = line(token, url)
        self._bot = self._line.bot

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

    async def wait_for(self, number: str, within_s: float) -> Met:
        """The first person who writes `number` in a private chat with the bot. Refused when nobody does in time.

        Nothing is confirmed to Telegram but what came before that: the desk reads the rest.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._listen(number)
        except TimeoutError:
            raise Refused(f"nobody wrote {number} to the bot within {within_s:.0f} s") from None

    async def _listen(self, number: str) -> Met:
        offset = 0
        while True:
            try:
                updates = await self._bot.get_updates(offset, timeout=POLL_S, allowed_updates=["message"])
            except Conflict:
                raise Refused(
                    "somebody else reads this bot's messages: stop the desk that uses the token first"
                ) from None
            except TelegramError as error:
                raise _unreached(error) from None
            for update in updates:
                offset = update.update_id + 1
                message = update.message
                if message is None or message.from_user is None or message.from_user.is_bot:
                    continue
                if message.chat.type == "private" and (message.text or "").strip() == number:
                    who = Who("telegram", message.from_user.id, message.from_user.full_name)
                    await self._bot.get_updates(offset, timeout=0, limit=1, allowed_updates=["message"])
                    return Met(who, message.chat.id)

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
