"""A whole desk against the venue's order book: an entry takes no more than its share of it (control 2, volume)."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.domain.commands import CommandKind
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import OrderRecord
from tests.life import BTC, ETH, HASTY_S, Life, life, soon, until

ASK = "50000.01"
OVER = "it would take 25.03% of the 2,000.00 USDT offered within 0.5%; at most 25% (risk.max_depth_share)"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        yield one


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Life]:
    """Waits tenths of a second only: for venues that hang."""
    async with life(tmp_path, request_timeout_s=HASTY_S) as one:
        yield one


def offers(one: Life, *asks: tuple[str, str], bids: Any = (("50000.00", "1"),)) -> None:
    """From now on that is the whole book."""
    one.exchange.rewrites["depth"] = lambda book, q: book | {"asks": list(asks), "bids": list(bids)}


def asked(one: Life) -> list[str]:
    """How many levels were asked for, each time."""
    return [each["query"]["limit"] for each in one.exchange.requests("GET depth")]


@pytest.mark.parametrize(
    ("quantity", "refusal"), [("0.00999", ""), ("0.01", ""), ("0.01001", f"nothing was bought: {OVER}")]
)
async def test_an_entry_takes_at_most_a_quarter_of_what_is_offered_near_the_price(
    desk: Life, quantity: str, refusal: str
) -> None:
    offers(desk, (ASK, "0.04"), ("50250.06", "9"))

    outcome = await desk.buy(quantity)

    assert outcome.accepted is not refusal
    assert [order["origQty"] for order in desk.sent(Side.BUY)] == (
        [] if refusal else [f"{Decimal(quantity):.8f}"]
    )
    if refusal:
        assert outcome.text == refusal
        (entry,) = [each for each in desk.written(OrderRecord) if each.request.leg == "e"]
        assert (entry.status, entry.reason) == (OrderStatus.EXPIRED, OVER)
    desk.judged()


async def test_the_book_is_asked_for_beside_the_price_and_once(desk: Life) -> None:
    await desk.buy()

    paths = [
        each["path"] for each in desk.exchange.log if each["path"] in ("ticker/bookTicker", "depth", "order")
    ]
    assert sorted(paths[:2]) == ["depth", "ticker/bookTicker"], "neither waits for the other"
    assert asked(desk) == ["100"]
    desk.judged()


async def test_more_of_the_book_is_asked_for_where_a_hundred_levels_are_not_enough(desk: Life) -> None:
    """Of a busy instrument they lie within a few ticks."""

    def book(told: Any, q: dict[str, str]) -> Any:
        return told | {"asks": [[price, "0.0001"] for price, _ in told["asks"]]}

    desk.exchange.rewrites["depth"] = book
    first = await desk.buy("0.01")
    second = await desk.buy("0.03", name=ETH)

    assert first.accepted, first.text
    assert not second.accepted
    assert "that the venue shows within 0.5%" in second.text, (
        "a thousand levels, and the band goes on behind them"
    )
    assert asked(desk) == ["100", "1000"] * 2
    desk.judged()


async def test_what_a_person_tightens_holds_at_once_and_after_a_restart(desk: Life) -> None:
    offers(desk, (ASK, "0.04"))
    tighter = replace(desk.command(CommandKind.LIMIT), name="max_depth_share", value=0.1)
    await desk.engine.desk.submit(tighter)
    refused = await desk.buy("0.005")
    await desk.restart()
    still = await desk.buy("0.005")
    taken = await desk.buy("0.004")

    for outcome in (refused, still):
        assert outcome.text.endswith("offered within 0.5%; at most 10% (risk.max_depth_share)")
    assert taken.accepted, taken.text
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_an_entry_that_was_refused_for_the_book_stays_refused_after_a_restart(desk: Life) -> None:
    offers(desk, (ASK, "0.001"))
    await desk.buy("0.01")
    del desk.exchange.rewrites["depth"]
    await desk.restart()
    await desk.tend_for(30)

    assert desk.said_of("e") == ["expired"]
    assert desk.sent() == []
    assert desk.portfolio.plans == {}
    desk.judged()


LEVEL = [ASK, "5"]


@pytest.mark.parametrize(
    "change",
    [
        {"asks": []}, {"bids": []}, {"asks": [["49999.99", "5"]]}, {"bids": [[ASK, "5"]]}, {"asks": [["NaN", "5"]]},
        {"asks": [[ASK, "NaN"]]}, {"asks": [[ASK, "Infinity"]]}, {"asks": [[ASK, "-5"]]}, {"asks": [["-1", "5"]]},
        {"asks": [["1e9", "5"]]}, {"asks": [[ASK, 5]]}, {"asks": [[ASK, "9" * 400]]}, {"asks": [LEVEL, LEVEL]},
        {"asks": [LEVEL, ["50000.00", "5"]]}, {"asks": [["0", "5"]]}, {"asks": None}, {"asks": [[ASK]]},
        {"asks": [LEVEL] * 5001}, {"asks": [["100000.01", "5"]], "bids": [["50000.00", "5"]]},
        {"asks": [["50500.00", "5"]], "bids": [["50499.00", "5"]]},  # of a while ago, or another's
        {"asks": [["3000.01", "5"]], "bids": [["3000.00", "5"]]},
    ],
    ids=str,
)  # fmt: skip
async def test_a_book_that_cannot_be_true_keeps_entries_back_with_its_reason_and_no_exit(
    desk: Life, change: dict[str, Any]
) -> None:
    await desk.buy("0.01", name=ETH)
    desk.exchange.rewrites["depth"] = lambda book, q: book | change

    refused = await desk.buy()
    await desk.sell(name=ETH)
    await desk.tend_for(4)

    assert not refused.accepted
    assert "order book" in refused.text or "the venue does not tell what it offers" in refused.text
    assert len(refused.text) < 400
    assert [order["symbol"] for order in desk.sent(Side.BUY)] == ["ETHUSDT"]
    assert desk.portfolio.positions == (), "an exit asks for no book"
    assert desk.holds == {}
    desk.judged()


@pytest.mark.parametrize(
    "answer", ["html", "truncated", "doubled", "huge", "nested", "empty", "reset", "error"]
)
async def test_nonsense_instead_of_a_book_keeps_an_entry_back_when_it_comes_twice(
    desk: Life, answer: str
) -> None:
    desk.exchange.fault("GET depth", when="after", answer=answer, status=503, count=2)
    refused = await desk.buy()
    desk.exchange.fault("GET depth", when="after", answer=answer, status=503, count=1)
    taken = await desk.buy()

    assert (refused.accepted, taken.accepted) == (False, True)
    assert refused.text.startswith("nothing was bought: the venue does not tell what it offers: ")
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_a_book_that_does_not_come_costs_no_more_time_than_a_price_that_does_not_come(
    hasty: Life,
) -> None:
    hasty.exchange.fault("GET depth", answer="hang", count=2)
    waiting = soon(hasty.buy())
    await until(lambda: bool(asked(hasty)), "it is asked for")
    kill = soon(hasty.say(CommandKind.KILL))
    await until(lambda: hasty.store.halt().state == "halted", "the kill is durable")
    still = waiting.done()
    refused = await waiting
    await kill

    assert not still, "a kill does not wait for the book"
    assert not refused.accepted
    assert asked(hasty) == ["100", "100"]
    assert hasty.sent() == []
    hasty.judged()


@pytest.mark.parametrize(
    "how",
    [
        {"status": 404, "code": 0, "msg": "Not Found"}, {"status": 405, "code": 0}, {"status": 501, "code": 0},
        {"status": 400, "code": -1020, "msg": "This operation is not supported."},
    ],
    ids=str,
)  # fmt: skip
async def test_a_venue_that_knows_no_book_is_traded_at_and_that_is_said_once(desk: Life, how: Any) -> None:
    desk.exchange.fault("GET depth", answer="error", count=3, **how)
    outcomes = [await desk.buy("0.01", name=name) for name in (BTC, ETH)]
    await desk.sell(name=ETH)
    await desk.tend_for(4)
    outcomes.append(await desk.buy("0.01", name=ETH))

    assert [outcome.accepted for outcome in outcomes] == [True] * 3
    assert asked(desk) == ["100"] * 3, "it is asked again each time, for it may learn"
    (said,) = desk.told("no order book")
    assert "held against the volume of bars alone (risk.max_participation)" in said
    desk.judged()


async def test_that_a_venue_knows_no_book_any_more_is_said_again(desk: Life) -> None:
    desk.exchange.tells_depth = False
    await desk.buy("0.001")
    desk.exchange.tells_depth = True
    await desk.buy("0.01", name=ETH)
    await desk.sell(name=ETH)
    await desk.tend_for(4)
    desk.exchange.tells_depth = False
    await desk.buy("0.01", name=ETH)

    assert len(desk.told("no order book")) == 2
    assert len(desk.sent(Side.BUY)) == 3
    desk.judged()


@pytest.mark.parametrize("code", [-1121, -1100, -1003])
async def test_any_other_refusal_of_the_question_is_no_answer(desk: Life, code: int) -> None:
    desk.exchange.fault("GET depth", answer="error", status=400, code=code, count=2)

    assert not (await desk.buy()).accepted
    assert desk.sent() == []
    assert desk.told("no order book") == []


async def test_stops_and_a_flatten_leave_while_no_book_can_be_read(desk: Life) -> None:
    await desk.buy("0.01")
    desk.exchange.fault("GET depth", answer="error", status=503, count=1000)
    before = len(asked(desk))
    covered = desk.stop().status
    await desk.say(CommandKind.FLATTEN)
    await desk.tend_for(6)

    assert covered is OrderStatus.ACCEPTED
    assert desk.portfolio.positions == ()
    assert len(asked(desk)) == before, "nothing that reduces asks for it"
    desk.judged()


async def test_of_ten_entries_at_once_one_passes_where_the_first_leaves_less_than_the_next_needs(
    desk: Life,
) -> None:
    """One after the other, each held against the book as it is then."""

    def book(told: Any, q: dict[str, str]) -> Any:
        taken = sum(Decimal(each["executedQty"]) for each in desk.sent(Side.BUY))
        return told | {"asks": [[told["asks"][0][0], str(Decimal("0.04") - taken)]]}

    desk.exchange.rewrites["depth"] = book
    names = [BTC, ETH] * 5
    outcomes = await asyncio.gather(*[desk.buy("0.01", name=name) for name in names])

    assert [outcome.accepted for outcome in outcomes] == [True] + [False] * 9
    assert "it would take 33.34% of" in outcomes[1].text
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()
