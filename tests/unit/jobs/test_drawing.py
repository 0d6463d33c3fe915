"""What is on the pictures, read from matplotlib's own objects against the records."""

from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from msgspec.structs import replace

from engine.core.accounting.fold import DeskState
from engine.core.domain.errors import BadQuestion
from engine.core.domain.order import Side
from engine.core.domain.records import CycleRecord, Record
from engine.core.domain.risk import RiskState
from engine.live.status import risk_panel
from jobs import drawing
from jobs.drawing import DARK, DOTS, LIGHT, MARKS, Look
from tests.builders import (
    CLOSE,
    DAY,
    bar,
    cycle_record,
    decision,
    fill,
    forecast,
    observation,
    order_request,
    portfolio,
    position,
    settings,
    start_record,
    trade_record,
)
from tests.fakes import ListJournal

DAYS = 30


def prices(number: int) -> dict[str, Decimal]:
    """A bar of the story: it swings by a few points around 1240."""
    base = Decimal(1240) + 6 * (number % 7) - 4 * (number % 5)
    return {"close": base, "open": base - 3 + number % 2 * 5, "high": base + 8, "low": base - 9}


def look(number: int, **changed: Any) -> CycleRecord:
    """The decision on the bar of that day."""
    at = CLOSE + number * DAY
    seen = observation(end=at, bar=bar(end=at, **prices(number)))
    return cycle_record("no_signal", at, observation=seen, **changed)


def story(count: int = DAYS, held: bool = True) -> list[Record]:
    """Bars with a trade that was closed and, if so, a position that is open at the end."""
    records: list[Record] = [
        start_record(CLOSE - DAY),
        fill(order_request(at=CLOSE + DAY)),
        fill(order_request(side=Side.SELL, leg="x", at=CLOSE + 9 * DAY)),
        fill(order_request(at=CLOSE + 19 * DAY), trade_id="third"),
        fill(order_request(at=CLOSE + 4 * DAY, instrument="NASDAQ")),
    ]
    own = portfolio(position(stop=Decimal(1190), target=Decimal(1330)), cash="90000") if held else None
    for number in range(count):
        last = number == count - 1
        records.append(look(number, portfolio=own) if last and own else look(number))
    return records


def axes_of(figure: Figure, place: int = 0) -> Any:
    """Where it is drawn, without matplotlib's narrow types."""
    return figure.axes[place]


def texts(figure: Figure) -> list[Text]:
    """Every text that shows; a tick beyond the ends of its axis does not."""
    figure.draw_without_rendering()
    beyond = {
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    shown = [each for each in figure.findobj(Text) if each.get_visible() and each.get_text().strip()]
    return [each for each in shown if each not in beyond]


def words(figure: Figure) -> str:
    """All of them in one."""
    return "\n".join(each.get_text() for each in texts(figure))


def candles(journal: ListJournal, days: int = 0, look: Look = DARK) -> tuple[drawing.Candles, Figure]:
    """Read and drawn."""
    of = drawing.read_candles(journal, "SP500", days)
    return of, drawing.draw_candles(of, look)


def test_there_is_a_candle_for_each_bar_with_its_four_prices() -> None:
    of, figure = candles(ListJournal(*story()))
    axes = axes_of(figure)
    bodies: Any = next(each for each in axes.collections if isinstance(each, PolyCollection))
    wicks = next(each for each in axes.collections if isinstance(each, LineCollection))

    assert len(bodies.get_paths()) == len(wicks.get_segments()) == DAYS
    for number, (body, wick) in enumerate(zip(bodies.get_paths(), wicks.get_segments(), strict=True)):
        told = {name: float(value) for name, value in prices(number).items()}
        assert sorted({*body.vertices[:, 1].tolist()}) == sorted({told["open"], told["close"]})
        assert wick[:, 1].tolist() == [told["low"], told["high"]]
        assert of.ends[number] == CLOSE + number * DAY
    up, down = to_rgb(DARK.up), to_rgb(DARK.down)
    rising = [prices(number)["close"] >= prices(number)["open"] for number in range(DAYS)]
    assert [tuple(colour[:3]) for colour in bodies.get_facecolor()] == [
        up if each else down for each in rising
    ]


def test_each_fill_has_its_mark_at_its_time_and_price_and_none_of_another_instrument() -> None:
    of, figure = candles(ListJournal(*story()))
    drawn = {
        line.get_label(): line for line in axes_of(figure).lines if not str(line.get_label()).startswith("_")
    }
    bought, sold = drawn["entry, bought"], drawn["exit, sold"]

    assert [of.ends[int(place)] for place in bought.get_xdata()] == [CLOSE + 2 * DAY, CLOSE + 20 * DAY]
    assert [of.ends[int(place)] for place in sold.get_xdata()] == [CLOSE + 10 * DAY]
    assert bought.get_ydata() == pytest.approx([1240.10, 1240.10])
    assert sold.get_ydata() == pytest.approx([1239.50])
    assert (bought.get_marker(), sold.get_marker()) == ("^", "v")
    assert len(MARKS) == len({called for _, called in MARKS.values()})


def test_an_open_position_shows_entry_stop_and_target_and_the_last_price_is_always_there() -> None:
    lines = {
        str(line.get_label()).split("\n")[0]: line.get_ydata()[0]
        for line in axes_of(candles(ListJournal(*story()))[1]).lines
    }
    flat = words(candles(ListJournal(*story(held=False)))[1])

    last = float(prices(DAYS - 1)["close"])
    assert {name: lines[f"_{name}"] for name in ("stop", "target", "entry", "last")} == {
        "stop": 1190.0, "target": 1330.0, "entry": 1240.1, "last": last
    }  # fmt: skip
    assert "stop" not in flat
    assert f"last\n{last:,.2f}" in flat


def test_names_at_the_right_keep_clear_of_each_other() -> None:
    held = position(stop=Decimal(1239), target=Decimal("1240.5"), average_price=Decimal(1240))
    records = [start_record(CLOSE - DAY), *[look(n) for n in range(9)]]
    _, figure = candles(ListJournal(*records, look(9, portfolio=portfolio(held, cash="1"))))
    figure.draw_without_rendering()
    named = [each for each in axes_of(figure).texts if "\n" in each.get_text()]
    boxes = sorted((each.get_window_extent() for each in named), key=lambda box: box.y0)

    assert len(boxes) == 4
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


def test_days_choose_the_bars_and_many_are_put_together_without_losing_a_high_or_a_low() -> None:
    count = 400
    journal = ListJournal(*story(count, held=False))
    few, _ = candles(journal, days=10)
    many, figure = candles(journal, days=1000)

    assert len(few.ends) == 11
    assert len(many.ends) <= drawing.MOST_CANDLES and many.together == 3
    assert many.prices[:, 1].max() == max(float(prices(n)["high"]) for n in range(count))
    assert many.prices[:, 2].min() == min(float(prices(n)["low"]) for n in range(count))
    assert many.prices[-1, 3] == float(prices(count - 1)["close"])
    assert many.ends[-1] == CLOSE + (count - 1) * DAY
    assert "each candle 3 bars" in words(figure)


def test_a_bar_that_was_looked_at_twice_is_one_candle() -> None:
    again = replace(look(5), id="d-again")

    assert len(candles(ListJournal(*story(), again))[0].ends) == DAYS


# --- equity ---


def account(*equities: str, high: str = "0") -> ListJournal:
    """A desk that was worth so much, day by day."""
    records: list[Record] = [start_record(CLOSE - DAY)]
    for number, equity in enumerate(equities):
        record = look(number, portfolio=portfolio(cash=equity, marks={"SP500": Decimal(1240)}))
        risk = RiskState(high_water=Decimal(high), last_equity=Decimal(equity))
        records.append(replace(record, result=replace(record.result, risk=risk)))
    return ListJournal(*records)


def test_the_curve_is_the_equity_of_each_moment_and_how_far_it_lies_below_its_highest() -> None:
    of = drawing.read_curve(account("100000", "110000", "99000", "104500"), 0)
    figure = drawing.draw_curve(of, DARK)
    above, below = axes_of(figure, 0), axes_of(figure, 1)

    assert above.lines[0].get_ydata().tolist() == [100000, 110000, 99000, 104500]
    assert below.lines[0].get_ydata() == pytest.approx([0, 0, -10, -5])
    assert "Equity 104,500.00 USD (+4.5 %)" in words(figure)
    assert "drawdown 5 % now, worst 10 %" in words(figure)
    assert [datetime.fromisoformat(str(each)) for each in of.at] == [CLOSE + n * DAY for n in range(4)]


def test_the_high_water_mark_of_the_desk_counts_also_where_the_days_asked_for_do_not_show_it() -> None:
    of = drawing.read_curve(account("100000", "110000", "99000", "104500", high="125000"), 1)

    assert of.drawdown == pytest.approx([0.208, 0.164])


def test_a_long_account_is_looked_at_evenly_from_its_first_to_its_last_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawing, "MOMENTS", 10)
    of = drawing.read_curve(account(*[str(100000 + n) for n in range(50)]), 0)

    assert not of.whole
    assert (of.at[0], of.at[-1], len(of.at)) == (CLOSE, CLOSE + 49 * DAY, 10)
    assert "(of 10 moments)" in words(drawing.draw_curve(of, DARK))


# --- decisions ---


def test_votes_go_on_where_the_one_before_ended_and_add_up_to_the_sum_against_the_gate() -> None:
    cycle = cycle_record(forecast=forecast(0.44, momentum=0.3, trend=0.24, breakout=-0.1))
    of = drawing.read_votes(ListJournal(start_record(), cycle), cycle.id)
    figure = drawing.draw_votes(of, DARK)
    bars = axes_of(figure).patches

    assert [bar.get_width() for bar in bars] == pytest.approx([0.3, 0.24, -0.1, 0.44])
    assert [bar.get_x() for bar in bars] == pytest.approx([0.0, 0.3, 0.54, 0.0])
    gate = next(line for line in axes_of(figure).lines if line.get_label() == "gate")
    assert gate.get_xdata() == pytest.approx([0.3, 0.3])  # 65 % of confidence
    assert [of.names[0], of.said[0]] == ["momentum", "+0.900 x 33.33 %"]
    assert "confidence 72 %, gate 65 % (dashed)" in words(figure)
    assert {tuple(bar.get_facecolor()[:3]) for bar in bars} == {to_rgb(DARK.up), to_rgb(DARK.down)}


def test_more_votes_than_there_is_room_for_are_one_row() -> None:
    many = {f"voter_{n}": 0.02 for n in range(20)}
    of = drawing.read_votes(ListJournal(cycle_record(forecast=forecast(0.4, **many))), decision())

    assert len(of.names) == drawing.MOST_ROWS - 1
    assert of.names[-1] == "12 others"
    assert sum(of.added) == pytest.approx(0.4)


def test_a_trade_shows_the_decision_that_opened_it() -> None:
    trade = trade_record(entry_decision=decision())

    assert drawing.read_votes(ListJournal(cycle_record(), trade), trade.id).cycle.id == decision()


# --- limits ---


def panel(risk: RiskState, cash: str = "97000") -> dict[str, Any]:
    """The desk's panel."""
    return risk_panel(DeskState(portfolio=portfolio(cash=cash), risk=risk), settings(), CLOSE)


def test_each_limit_is_a_bar_of_what_is_used_the_most_used_first() -> None:
    told = panel(RiskState(high_water=Decimal(100_000), day_equity=Decimal(98_000), day_entries=4))
    of = drawing.read_limits(ListJournal(start_record()), told)
    figure = drawing.draw_limits(of, DARK)
    widths = [bar.get_width() for bar in axes_of(figure).patches][len(of.rows) :]

    expected = {
        check["name"]: 100 * check["value"] / check["limit"]
        for check in told["checks"]
        if check["operator"] == "<=" and check["limit"] > 0
    }
    assert widths[0] == pytest.approx(expected["drawdown"])
    assert widths == sorted(widths, reverse=True)
    assert (of.rows[0].called, of.rows[0].said) == ("drawdown", "3 % of 5 %, 2 % left")
    assert {"daily loss", "daily loss (halts)"} <= {row.called for row in of.rows}


def test_what_is_not_met_comes_first_and_is_hatched() -> None:
    locked = panel(replace(RiskState(high_water=Decimal(100_000)), holds={"venue": "silent"}))
    of = drawing.read_limits(ListJournal(), locked)
    figure = drawing.draw_limits(of, DARK)

    assert (of.rows[0].called, of.rows[0].passed, of.rows[0].said) == ("holds", False, "not met")
    assert axes_of(figure).patches[len(of.rows)].get_hatch() == "//"


# --- all of them ---


def figures(look: Look) -> dict[str, Figure]:
    """One of each."""
    journal = ListJournal(*story(), replace(cycle_record(), id="d-votes"))
    told = panel(RiskState(high_water=Decimal(100_000)))
    return {
        "candles": drawing.draw_candles(drawing.read_candles(journal, "SP500", 0), look),
        "equity": drawing.draw_curve(drawing.read_curve(journal, 0), look),
        "decision": drawing.draw_votes(drawing.read_votes(journal, "d-votes"), look),
        "risk": drawing.draw_limits(drawing.read_limits(journal, told), look),
    }


@pytest.mark.parametrize("look", [DARK, LIGHT], ids=["dark", "light"])
def test_every_picture_can_be_read_on_a_phone_and_says_where_orders_go_as_of_when_and_in_which_unit(
    look: Look,
) -> None:
    for kind, figure in figures(look).items():
        shown = texts(figure)
        assert min(float(each.get_fontsize()) * DOTS / 72 for each in shown) >= 22, kind
        assert "PAPER" in words(figure), kind
        assert "UTC" in words(figure), kind
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes), kind
        edge = figure.bbox
        for each in shown:
            box = each.get_window_extent()
            assert box.x0 >= -3 and box.x1 <= edge.x1 + 3, (kind, each.get_text())
            assert box.y0 >= -3 and box.y1 <= edge.y1 + 3, (kind, each.get_text())
        told = drawing.png(figure)
        assert (told[:4], told[16:24]) == (b"\x89PNG", bytes.fromhex("00000438000002d0")), kind


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("look", [DARK, LIGHT], ids=["dark", "light"])
def test_text_stands_out_from_its_ground(look: Look) -> None:
    ground = luminance(look.ground)
    for colour, least in (
        (look.ink, 7.0),
        (look.muted, 4.5),
        (look.bad, 4.5),
        (look.bought, 4.5),
        (look.up, 4.5),
    ):
        light, dark = max(ground, luminance(colour)), min(ground, luminance(colour))
        assert (light + 0.05) / (dark + 0.05) >= least, colour


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: drawing.read_candles(ListJournal(), "SP500", 0), "no bar of SP500 is on record yet"),
        (lambda: drawing.read_curve(ListJournal(), 0), "no decision is on record yet"),
        (lambda: drawing.read_curve(account("100000"), 0), "a curve takes two"),
        (lambda: drawing.read_votes(ListJournal(), "d-nothing"), "d-nothing is no decision on record"),
        (
            lambda: drawing.read_votes(ListJournal(cycle_record(forecast=None)), decision()),
            f"{decision()} has no votes: entered",
        ),
        (lambda: drawing.read_limits(ListJournal(), None), "the desk tells no limits"),
    ],
)
def test_what_is_not_on_record_is_one_clear_line_and_no_picture(read: Any, said: str) -> None:
    with pytest.raises(BadQuestion, match=said):
        read()
