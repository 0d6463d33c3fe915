"""The connection to Discord: what people write and press there, as messages.

Only what came from a person of our server, or in a private conversation, is passed on; edits, bots, webhooks, forwarded
messages and other servers are not. Everything that waits for an answer within three seconds is acknowledged before
anything else is touched.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import discord
from discord import app_commands

from bot.chat.port import Button, How, Message, Place
from bot.people import Who
from engine.core.domain.errors import BadSettings

log = logging.getLogger(__name__)

SURFACE = "discord"
SERVER, PRIVATE = "server.", "private."
"""What the keys of messages begin with: an answer may be shown where others read, or nobody else does."""
MOST_COMMANDS, MOST_CHOICES, LONGEST_CHOICE = 100, 25, 100
"""What Discord takes: commands of a server, and what is offered while somebody types."""
MOST_DESCRIBED, MOST_LABEL, MOST_ROWS, MOST_IN_ROW = 100, 80, 5, 5
ACKNOWLEDGED_S = 3.0
"""After that Discord has told the person that nobody answered, and takes no acknowledgement any more."""
OFFERED_S = 2.0
"""How long an offer for what is being typed may be looked for."""
OPTION = "arguments"
_DATA = re.compile(r"[ -~]{1,60}")
_PRESSED = rf"whydesk:[0-9]{{1,2}}:(?P<data>{_DATA.pattern})"


class Slash(NamedTuple):
    """A command as Discord offers it. `usage` describes what may follow it, where something may (`takes`)."""

    name: str
    description: str
    usage: str = ""
    takes: bool = False


Heard = Callable[[Message, discord.Interaction | None], Awaitable[None]]
"""Takes a message, and the interaction that waits for its answer if that was acknowledged."""
Offer = Callable[[str, str, Who], Sequence[str]]
"""What may follow a command: its name, what was typed of it so far, and who types."""


class DeskClient(discord.Client):
    """Listens in one server and in private conversations. `private` are commands that only who asks sees answered."""

    def __init__(
        self, guild: int, commands: Sequence[Slash], offer: Offer, private: frozenset[str], heard: Heard
    ) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True, guild_messages=True, dm_messages=True),
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            max_ratelimit_timeout=30.0,
        )
        self._guild = discord.Object(guild)
        self._offer = offer
        self._private = private
        self._heard = heard
        self._looking = ThreadPoolExecutor(1, "discord-offer")
        self.tree: app_commands.CommandTree[DeskClient] = app_commands.CommandTree(self)
        if len(commands) > MOST_COMMANDS:
            raise BadSettings(f"Discord takes at most {MOST_COMMANDS} commands, was {len(commands)}")
        for command in commands:
            self.tree.add_command(self._slash(command), guild=self._guild)

    async def setup_hook(self) -> None:
        """Buttons of earlier runs answer again, and Discord knows the commands."""
        self.add_dynamic_items(PressedButton)
        try:
            await self._sync()
        except discord.HTTPException as error:
            log.warning("Discord did not take the commands of server %d: %s", self._guild.id, error)

    async def _sync(self) -> None:
        """Tell Discord the commands only where those it has differ: it lets few changes through in a day."""
        there = {_shape(command.to_dict()) for command in await self.tree.fetch_commands(guild=self._guild)}
        ours = {_shape(command.to_dict(self.tree)) for command in self.tree.get_commands(guild=self._guild)}
        if there != ours:
            await self.tree.sync(guild=self._guild)

    def _slash(self, command: Slash) -> "app_commands.Command[Any, ..., None]":
        """One that only says that it was called: what it means is decided where every platform's words arrive."""

        async def bare(interaction: discord.Interaction) -> None:
            await self._called(interaction, command.name, "")

        async def with_arguments(interaction: discord.Interaction, arguments: str = "") -> None:
            await self._called(interaction, command.name, arguments)

        async def offered(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
            return await self._offered(interaction, command.name, typed)

        described = _shortened(command.description, MOST_DESCRIBED)
        if not command.takes:
            return app_commands.Command(name=command.name, description=described, callback=bare)
        usage = {OPTION: _shortened(command.usage or command.description, MOST_DESCRIBED)}
        taking = app_commands.describe(**usage)(with_arguments)
        made: app_commands.Command[Any, ..., None] = app_commands.Command(
            name=command.name, description=described, callback=taking
        )
        made.autocomplete(OPTION)(offered)
        return made

    async def _called(self, interaction: discord.Interaction, name: str, arguments: str) -> None:
        if not self._ours(interaction):
            return
        hidden = interaction.guild_id is not None and name in self._private
        acknowledged = await _acknowledge(interaction, ephemeral=hidden)
        text = f"/{name} {arguments}".rstrip()
        await self._told(interaction, text, How.TYPED, acknowledged, hidden=hidden)

    async def pressed(self, interaction: discord.Interaction, data: str) -> None:
        """A button was pressed, by whoever: who may press it is decided where messages are answered."""
        if self._ours(interaction):
            acknowledged = await _acknowledge(interaction)
            await self._told(interaction, data, How.PRESSED, acknowledged)

    def _ours(self, interaction: discord.Interaction) -> bool:
        return interaction.guild_id in (None, self._guild.id)

    async def _told(
        self,
        interaction: discord.Interaction,
        text: str,
        how: How,
        acknowledged: bool,
        *,
        hidden: bool = False,
    ) -> None:
        message = Message(
            text=_whole(text),
            who=_who(interaction.user),
            key=f"{PRIVATE if interaction.guild_id is None else SERVER}{interaction.id}",
            place=_place(interaction.channel, interaction.channel_id or 0),
            at=interaction.created_at,
            how=how,
            private=hidden or interaction.guild_id is None,
        )
        await self._heard(message, interaction if acknowledged else None)

    async def on_message(self, message: discord.Message) -> None:
        """What was written to us: in a private conversation, or with our name in it."""
        if not self._to_us(message):
            return
        await self._heard(
            Message(
                text=_whole(self._without_our_name(message.content)),
                who=_who(message.author),
                key=f"{PRIVATE if message.guild is None else SERVER}{message.id}",
                place=_place(message.channel, message.channel.id),
                at=message.created_at,
                private=message.guild is None,
            ),
            None,
        )

    def _to_us(self, message: discord.Message) -> bool:
        if message.author.bot or message.webhook_id is not None or message.message_snapshots:
            return False
        if message.type not in (discord.MessageType.default, discord.MessageType.reply):
            return False
        if message.guild is None:
            return isinstance(message.channel, discord.DMChannel)
        return message.guild.id == self._guild.id and self.user in message.mentions

    def _without_our_name(self, text: str) -> str:
        ours = self.user.id if self.user else 0
        return re.sub(rf"<@!?{ours}>", "", text).strip()

    async def _offered(
        self, interaction: discord.Interaction, name: str, typed: str
    ) -> list[app_commands.Choice[str]]:
        """Nothing when it takes too long: people can type without."""
        if not self._ours(interaction):
            return []
        looked = asyncio.get_running_loop().run_in_executor(
            self._looking, self._offer, name, typed, _who(interaction.user)
        )
        try:
            found = await asyncio.wait_for(looked, OFFERED_S)
        except TimeoutError:
            return []
        fitting = [each for each in found if 0 < len(each) <= LONGEST_CHOICE]
        return [app_commands.Choice(name=each, value=each) for each in fitting[:MOST_CHOICES]]


class PressedButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=_PRESSED):
    """A button that carries what it says in its own id, so that nothing has to be remembered to understand it."""

    def __init__(self, button: "discord.ui.Button[Any]", data: str) -> None:
        super().__init__(button)
        self._data = data

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[Any], match: "re.Match[str]", /
    ) -> "PressedButton":
        """The button that was pressed."""
        assert isinstance(item, discord.ui.Button)
        return cls(item, match["data"])

    async def callback(self, interaction: discord.Interaction) -> None:
        """Passed on."""
        client = interaction.client
        assert isinstance(client, DeskClient)
        await client.pressed(interaction, self._data)


def view(rows: Sequence[Sequence[Button]]) -> discord.ui.View | None:
    """The buttons, in rows of at most five; None without any. What Discord has no room for is left out, and logged."""
    known = [[button for button in row if _DATA.fullmatch(button.data)] for row in rows]
    fives = [row[at : at + MOST_IN_ROW] for row in known for at in range(0, len(row), MOST_IN_ROW)]
    placed = [(row, button) for row, five in enumerate(fives[:MOST_ROWS]) for button in five]
    if len(placed) < sum(len(row) for row in rows):
        log.warning("only %d of %d buttons fit under a message", len(placed), sum(len(row) for row in rows))
    shown = discord.ui.View(timeout=None)
    for number, (row, button) in enumerate(placed):
        pressable: discord.ui.Button[Any] = discord.ui.Button(
            label=_shortened(button.label, MOST_LABEL), custom_id=f"whydesk:{number}:{button.data}", row=row
        )
        shown.add_item(PressedButton(pressable, button.data))
    return shown if placed else None


async def _acknowledge(interaction: discord.Interaction, *, ephemeral: bool = False) -> bool:
    """Within the three seconds, or not at all: what was asked is asked all the same."""
    try:
        await asyncio.wait_for(interaction.response.defer(ephemeral=ephemeral), ACKNOWLEDGED_S)
    except (discord.DiscordException, OSError, TimeoutError) as error:
        log.warning("interaction %d could not be acknowledged: %s", interaction.id, error)
        return False
    return True


def _who(user: discord.User | discord.Member) -> Who:
    return Who(SURFACE, user.id, _whole(user.display_name))


def _whole(text: str) -> str:
    """Half of a character, which nothing could keep, becomes a question mark."""
    return text.encode(errors="replace").decode()


def _place(channel: Any, number: int) -> Place:
    if isinstance(channel, discord.Thread):
        return Place(SURFACE, channel.parent_id, channel.id)
    return Place(SURFACE, number)


def _shortened(text: str, most: int) -> str:
    plain = " ".join(text.split()) or "-"
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _shape(command: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a command Discord would have to be told again if it changed."""
    options = tuple(
        (each["name"], each["description"], each["type"], bool(each.get("autocomplete")))
        for each in command.get("options") or ()
    )
    return command["name"], command["description"], options
