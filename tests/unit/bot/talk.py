"""A bot with people on two platforms: say something as somebody, press what was shown, look what came of it."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bot.app import Bot
from bot.chat.port import Button, How, Lane, Message, Place, Said
from bot.command import Reply
from bot.people import TERMINAL, Who
from configs.schema.chat import ChatSettings, PersonSettings
from engine.core.domain.records import Record
from tests.builders import CLOSE, cycle_record, start_record, trade_record
from tests.fakes import FakeClock, FakeDesk, ListAsks, ListJournal
from tests.unit.bot.test_app import ListChat
from tests.unit.bot.test_command import HELD

PEOPLE = (
    PersonSettings("vera", "viewer", telegram=1, discord=11),
    PersonSettings("tom", "trader", telegram=2, discord=12),
    PersonSettings("tim", "trader", telegram=3, discord=13),
    PersonSettings("ada", "admin", telegram=4, discord=14),
    PersonSettings("abe", "admin", telegram=5, discord=15),
    PersonSettings("ola", "owner", telegram=6, discord=16),
)
NUMBERS = {person.name: {"telegram": person.telegram, "discord": person.discord} for person in PEOPLE}
STRANGER = 666
GROUP = 1000


class Told(NamedTuple):
    """Something that every listener was told."""

    said: Said
    lane: Lane


class Ears(ListChat):
    """A chat that keeps whole what it is told."""

    def __init__(self, source: str) -> None:
        super().__init__(source=source)
        self.told: list[Told] = []

    async def tell(self, said: Said, lane: Lane) -> None:
        """Keep it."""
        self.told.append(Told(said, lane))


class Talk:
    """One bot over a desk that holds something. Everything it keeps outlives a restart, as a store does."""

    def __init__(
        self, *people: PersonSettings, positions: tuple[dict[str, Any], ...] = (HELD,), **shown: Any
    ) -> None:
        self.settings = ChatSettings(people=people or PEOPLE)
        self.desk = FakeDesk(positions=positions, **shown)
        self.asks, self.clock = ListAsks(), FakeClock(CLOSE + timedelta(days=3))
        self.journal = ListJournal(start_record(), cycle_record(), trade_record())
        self.records: list[Record] = []
        self.chat = Ears("telegram")
        self._count = 0
        self.restart()

    def restart(self) -> None:
        """A new process over the same store."""
        self.bot = Bot(
            (self.chat,),
            self.desk,
            self.journal,
            _report,
            self.clock.now,
            remember=self._remember,
            settings=self.settings,
            asks=self.asks,
        )

    async def _remember(self, record: Record) -> None:
        self.records.append(record)

    def message(
        self,
        name: str,
        text: str,
        *,
        surface: str = "telegram",
        chat: int = GROUP,
        age_s: float = 0.0,
        how: How = How.TYPED,
        key: str = "",
        private: bool = False,
    ) -> Message:
        """What a platform would bring."""
        self._count += 1
        number = NUMBERS.get(name, {}).get(surface, STRANGER)
        who = TERMINAL if surface == "console" else Who(surface, number, name)
        at = self.clock.now() - timedelta(seconds=age_s)
        return Message(text, who, key or f"m{self._count}", Place(surface, chat), at, how, private)

    async def say(self, name: str, text: str, **more: Any) -> Reply:
        """Somebody types it."""
        message = self.message(name, text, **more)
        return await self.bot.answer(message, message.place.surface)

    async def press(self, name: str, button: Button | str, **more: Any) -> Reply:
        """Somebody presses it."""
        data = button if isinstance(button, str) else button.data
        return await self.say(name, data, how=How.PRESSED, **more)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.move(timedelta(seconds=seconds))

    @property
    def done(self) -> list[str]:
        """What reached the desk."""
        return [command.kind.value for command in self.desk.commands]

    @property
    def now(self) -> datetime:
        """By everybody's clock."""
        return self.clock.now()


def button(reply: Reply | Said, label: str) -> Button:
    """One of its buttons."""
    return next(each for row in reply.buttons for each in row if each.label == label)


def digits(reply: Reply) -> str:
    """The code that a card shows."""
    return reply.text.partition("Type ")[2][:4]


async def _report(day: str) -> str:
    return f"report of {day or 'the last day'}"
