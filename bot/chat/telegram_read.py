"""What comes from Telegram, as messages. Here is decided what the bot does not hear.

An edit, a forward, a post of a channel, what comes through another bot or from whoever hides behind a group: none of
them says that a person, now, wants this. They are not heard at all, and so they cannot act.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from telegram import CallbackQuery, Chat, InaccessibleMessage, Message, MessageEntity, Update, User

from bot.chat import port
from bot.chat.telegram_text import whole
from bot.people import Who

SOURCE = "telegram"
WANTED = ("message", "callback_query")
"""The kinds of update that are asked for."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Myself(NamedTuple):
    """The bot's own account."""

    number: int
    name: str


class Moved(NamedTuple):
    """A group that has another number now."""

    old: int
    new: int


def place_of(text: str) -> port.Place:
    """The place that `name_of` wrote.

    >>> place_of("-100/7")
    Place(surface='telegram', chat=-100, topic=7)
    """
    chat, _, topic = text.partition("/")
    return port.Place(SOURCE, int(chat), int(topic or 0))


def name_of(place: port.Place) -> str:
    """A place as a parcel names it.

    >>> name_of(port.Place("telegram", -100, 7)), name_of(port.Place("telegram", 42))
    ('-100/7', '42')
    """
    return f"{place.chat}/{place.topic}" if place.topic else str(place.chat)


def moved(update: Update) -> Moved | None:
    """The move that an update tells of. Both the old group and the new one tell it."""
    message = update.message
    if message is None:
        return None
    if message.migrate_to_chat_id:
        return Moved(message.chat.id, message.migrate_to_chat_id)
    return Moved(message.migrate_from_chat_id, message.chat.id) if message.migrate_from_chat_id else None


def heard(update: Update, me: Myself, earliest: datetime | None) -> port.Message | None:
    """What a person said to the bot; None for everything else.

    Telegram does not say when a button was pressed. `earliest` is the earliest time at which it can have been; None
    where nothing is known but that it was after the message with the button was sent.

    The key begins with the bot's own number: in a private chat, every bot counts its messages from 1.
    """
    if update.callback_query is not None:
        return _pressed(update.callback_query, me, earliest)
    return _typed(update.message, me) if update.message is not None else None


def _typed(message: Message, me: Myself) -> port.Message | None:
    user = message.from_user
    if user is None or user.is_bot or not message.text or _from_elsewhere(message):
        return None
    text = _to_me(message, message.text, me)
    if text is None:
        return None
    return port.Message(
        whole(text),
        _who(user),
        f"{me.number}.{message.chat.id}.{message.message_id}",
        port.Place(SOURCE, message.chat.id, _topic(message)),
        message.date,
        port.How.TYPED,
        message.chat.type == Chat.PRIVATE,
    )


def _from_elsewhere(message: Message) -> bool:
    """Whether somebody else's words, or nobody's, stand in it."""
    return bool(message.forward_origin or message.via_bot or message.sender_chat or message.edit_date)


def _to_me(message: Message, text: str, me: Myself) -> str | None:
    """The text without the bot's own name; None when it is not meant for the bot."""
    if message.chat.type not in (Chat.PRIVATE, Chat.GROUP, Chat.SUPERGROUP):
        return None
    if text.startswith("/"):
        return _own_command(text, me)
    if message.chat.type == Chat.PRIVATE:
        return text
    names = [word for entity, word in message.parse_entities().items() if _names(entity, word, me)]
    if not names and not _answers_me(message, me):
        return None
    first = next((word for word in names if text.startswith(word)), "")
    said = text[len(first) :].lstrip(" ,:")
    return _own_command(said, me) if said.startswith("/") else said or None


def _own_command(text: str, me: Myself) -> str | None:
    """`/status@us now` as `/status now`; None when it names another bot."""
    word = text.split(maxsplit=1)[0]
    name, at, bot = word.partition("@")
    if not at:
        return text
    return name + text[len(word) :] if me.name and bot.casefold() == me.name.casefold() else None


def _names(entity: MessageEntity, word: str, me: Myself) -> bool:
    if entity.type == MessageEntity.TEXT_MENTION:
        return entity.user is not None and entity.user.id == me.number
    return entity.type == MessageEntity.MENTION and word[1:].casefold() == me.name.casefold()


def _answers_me(message: Message, me: Myself) -> bool:
    """Everything in a forum topic counts as a reply to the notice that opened the topic; that is none."""
    before = message.reply_to_message
    return (
        before is not None
        and before.from_user is not None
        and before.from_user.id == me.number
        and before.forum_topic_created is None
    )


def _pressed(query: CallbackQuery, me: Myself, earliest: datetime | None) -> port.Message | None:
    card = query.message
    if card is None or not query.data or query.from_user.is_bot:
        return None
    sent = _BEGINNING if isinstance(card, InaccessibleMessage) else card.date
    topic = _topic(card) if isinstance(card, Message) else 0
    return port.Message(
        whole(query.data),
        _who(query.from_user),
        f"{me.number}.press.{query.id}",
        port.Place(SOURCE, card.chat.id, topic),
        max(sent, earliest) if earliest else sent,
        port.How.PRESSED,
        card.chat.type == Chat.PRIVATE,
    )


def _topic(message: Message) -> int:
    return message.message_thread_id or 0 if message.is_topic_message else 0


def _who(user: User) -> Who:
    return Who(SOURCE, user.id, whole(user.full_name))
