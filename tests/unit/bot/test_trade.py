"""A person trades from a chat: what is asked for is read exactly, or not at all."""

from decimal import Decimal

import pytest

from bot.people import Person, Role
from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.order import Side
from tests.fakes import FakeDesk
from tests.unit.bot.test_command import HELD, VIEWER, say


async def asked(text: str, *, held: bool = True) -> tuple[Command, str]:
    desk = FakeDesk(positions=(HELD,) if held else ())
    reply = await say(text, Person("tom", Role.TRADER), desk)
    (command,) = desk.commands
    return command, reply.text


@pytest.mark.parametrize(
    ("text", "quantity", "amount"),
    [
        ("/buy SP500 0.5", "0.5", "0"),
        ("/buy sp500 500 USD", "0", "500"),
        ("/buy SP500 2 sp500", "2", "0"),
        ("/buy  NASDAQ   12", "12", "0"),
        ("/forcelong SP500 3", "3", "0"),
        ("/forcelong SP500", "0", "0"),
    ],
)
async def test_a_wish_to_buy_names_an_instrument_and_how_much(text: str, quantity: str, amount: str) -> None:
    command, reply = await asked(text)

    assert (command.kind, command.side, command.by) == (CommandKind.ENTER, Side.BUY, "tom")
    assert (command.quantity, command.amount) == (Decimal(quantity), Decimal(amount))
    assert reply == "Enter done. [cmd-1]"


@pytest.mark.parametrize(
    ("text", "quantity", "amount"),
    [
        ("/sell SP500", "0", "0"),
        ("/sell SP500 2.5", "2.5", "0"),
        ("/fx sp500 100 USD", "0", "100"),
        ("/fx all", "0", "0"),
    ],
)
async def test_a_wish_to_sell_closes_all_or_a_part(text: str, quantity: str, amount: str) -> None:
    command, _ = await asked(text)

    assert (command.kind, command.instrument) == (CommandKind.CLOSE, "SP500")
    assert (command.quantity, command.amount) == (Decimal(quantity), Decimal(amount))


@pytest.mark.parametrize(
    "much",
    [
        "-1",
        "0",
        "0.0",
        "NaN",
        "inf",
        "1e5",
        "1,000",
        "1_000",
        "0x10",
        "１２",
        "½",
        ".",
        "1.2.3",
        "5 5",
        "5 USD!",
        "5 EUR",
        "9" * 41,
        "five",
        "101%",
    ],
)
@pytest.mark.parametrize("command", ["buy", "sell", "forcelong", "fx"])
async def test_what_is_not_plainly_a_number_is_refused_and_nothing_is_done(command: str, much: str) -> None:
    desk = FakeDesk(positions=(HELD,))

    reply = await say(f"/{command} SP500 {much}", desk=desk)

    assert not reply.ok
    assert "is not how much: expected a quantity such as 0.5, or an amount such as 500 USD" in reply.text
    assert desk.commands == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/buy", "/buy takes an instrument and how much"),
        ("/buy SP500", "/buy takes an instrument and how much"),
        ("/buy DAX 1", "The desk does not trade DAX. It trades NASDAQ, SP500."),
        ("/forcelong", "/forcelong takes an instrument"),
        ("/sell", "/sell takes an instrument"),
        ("/sell DAX", "There is no position in DAX. Held: SP500."),
        ("/fx", "/sell takes an instrument"),
    ],
)
async def test_what_is_missing_is_named(text: str, said: str) -> None:
    desk = FakeDesk(positions=(HELD,))

    reply = await say(text, desk=desk)

    assert not reply.ok
    assert said in reply.text
    assert desk.commands == []


async def test_with_nothing_held_there_is_nothing_to_close() -> None:
    reply = await say("/fx all")

    assert (reply.ok, reply.text) == (False, "Nothing is held.")


async def test_closing_all_is_one_command_a_position() -> None:
    desk = FakeDesk(positions=(HELD, HELD | {"instrument": "NASDAQ"}))

    reply = await say("/fx all", desk=desk)

    assert [command.instrument for command in desk.commands] == ["NASDAQ", "SP500"]
    assert reply.ok


async def test_who_may_only_look_may_not_trade() -> None:
    desk = FakeDesk(positions=(HELD,))
    for text in ("/buy SP500 1", "/sell SP500", "/forcelong SP500", "/fx all"):
        reply = await say(text, VIEWER, desk)
        assert "needs the role trader" in reply.text
    assert desk.commands == []
