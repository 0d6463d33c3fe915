"""/chart: what is wanted is read exactly, and its words are there without any picture."""

from typing import Any

import pytest

from bot.command import Context, Reply
from bot.commands import REGISTRY
from bot.people import CONSOLE
from engine.core.domain.errors import Refused
from tests.builders import cycle_record, decision, start_record, trade_record
from tests.fakes import FakeClock, FakeDesk, ListJournal

HELD = {
    "instrument": "SP500", "quantity": "12.5", "average_price": "1240.10", "price": "1250.00", "profit": "108.25",
    "stop": "1180.00", "target": "1360.00", "bars_held": 3, "opened_at": "", "entry": "d-1",
}  # fmt: skip


class Drawn:
    """Remembers what was to be drawn."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def __call__(self, *wanted: Any) -> bytes:
        """Four bytes of a picture."""
        self.asked.append(wanted)
        return b"\x89PNG"


async def chart(arguments: str, picture: Any = None, *records: Any, **shown: Any) -> Reply:
    """The reply at the terminal."""

    async def report(day: str) -> str:
        return day

    journal = ListJournal(start_record(), cycle_record(), *records)
    desk = FakeDesk(**shown)
    context = Context(desk, journal, CONSOLE, "console", "k", report, FakeClock().now)
    return await REGISTRY.dispatch(f"/chart {arguments}", context._replace(picture=picture))


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("SP500", ("candles", "SP500", 0, None)),
        ("nasdaq 30", ("candles", "NASDAQ", 30, None)),
        ("equity", ("equity", "", 0, None)),
        ("Equity 90", ("equity", "", 90, None)),
        (decision(), ("decision", decision(), 0, None)),
    ],
)
async def test_what_is_wanted_is_drawn_and_told(arguments: str, wanted: tuple[Any, ...]) -> None:
    drawn = Drawn()
    reply = await chart(arguments, drawn)

    assert drawn.asked == [wanted]
    assert (reply.ok, reply.said().picture) == (True, b"\x89PNG")
    assert reply.text.startswith("PAPER: ")


async def test_the_limits_are_drawn_from_the_panel_that_the_words_are_of() -> None:
    drawn = Drawn()
    reply = await chart("risk", drawn)

    assert drawn.asked[0][0] == "risk"
    assert {check["name"] for check in drawn.asked[0][3]["checks"]} >= {"drawdown", "daily loss"}
    assert "drawdown" in reply.text


async def test_a_trade_is_drawn_as_the_decision_that_opened_it() -> None:
    drawn, trade = Drawn(), trade_record(entry_decision=decision())
    await chart(trade.id, drawn, trade)

    assert drawn.asked == [("decision", decision(), 0, None)]


async def test_the_words_of_a_position_hold_its_figures() -> None:
    assert (await chart("SP500", Drawn(), positions=(HELD,))).text == (
        "PAPER: long 12.5 SP500 at 1,240.10 USD, now 1,250.00 USD: +108.25 USD so far; stop 1,180.00 USD (5.6 % below),"
        " target 1,360.00 USD (8.8 % above), as of 15 Oct 2008 21:00 UTC [d-1]"
    )


async def test_the_words_of_a_decision_hold_its_votes() -> None:
    text = (await chart(decision(), Drawn())).text

    assert "SP500, entered, 15 Oct 2008 21:00 UTC, confidence 72 %" in text
    assert "- momentum says up: score +0.792 of 1 by weight 33.33 % is +0.264" in text


async def test_without_a_picture_the_words_are_told_and_why() -> None:
    async def fails(*wanted: Any) -> bytes:
        raise Refused("the picture was not drawn within 5 s")

    for picture, why in ((fails, "the picture was not drawn within 5 s"), (None, "nothing is drawn here")):
        reply = await chart("equity", picture)
        assert reply.text.startswith("PAPER: equity 100,412.30 USD, drawdown 1.2 %, as of 15 Oct 2008")
        assert reply.text.endswith(f"\nNo picture: {why}.")
        assert not reply.ok and not reply.picture


@pytest.mark.parametrize(
    "wrong", ["", "SP500 0", "SP500 -3", "SP500 ten", "SP500 ٣", "equity 99999999999", "equity 36501"]
)
async def test_what_cannot_be_read_is_answered_with_how_it_is_said(wrong: str) -> None:
    assert (await chart(wrong, Drawn())).text.startswith(
        "/chart takes an instrument, a decision's id, equity or risk"
    )


async def test_what_is_not_known_is_named_with_what_is() -> None:
    reply = await chart("GOLD", Drawn())

    assert (
        reply.text
        == "'GOLD' is nothing to draw: expected equity, risk, a decision's id or one of NASDAQ, SP500"
    )
    assert not reply.ok
