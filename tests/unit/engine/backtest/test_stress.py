"""The desk put through days that broke others."""

from decimal import Decimal

import numpy as np
import pytest
from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from engine.backtest import stress as run
from engine.backtest.market import moments, tell
from engine.backtest.replay import step_moment
from engine.backtest.stress import AS_WAS, CUT_OFF, FEWEST, FORMS, FULL, GAP, Outcome, Stress, chosen, stress
from engine.backtest.stress_report import NOT_SAID, sentences, summary
from engine.core.analytics import shock
from engine.core.analytics.scenarios import SCENARIOS
from engine.core.domain.errors import BadInput
from tests.unit.engine.backtest.markets import HOUR_MS, random_walk, trading

NAMES = ("march-2020", "oil-2020", "luna-2022", "ftx-2022", "october-2025")
SETTINGS = trading("BTC", "ETH")
SERIES = {"BTC": random_walk(1200, 1), "ETH": random_walk(1200, 2)}


@pytest.fixture(scope="module")
def done() -> Stress:
    return stress(SERIES, SETTINGS, scenarios=chosen(NAMES))


def each(done: Stress, form: str, size: int = 1) -> dict[str, Outcome]:
    return {name: done.worst(name, form, size) for name in NAMES}


def test_every_scenario_meets_every_form_at_every_place(done: Stress) -> None:
    assert len(done.outcomes) == len(NAMES) * len(FORMS) * len(done.places)
    assert done.places == tuple(sorted(done.places))
    assert int(done.places[-1].timestamp() * 1000) >= int(SERIES["BTC"].end_ms[-run.TRIES])


def test_the_full_desk_holds_what_the_limits_permit_and_not_more(done: Stress) -> None:
    risk = SETTINGS.risk
    for outcome in done.outcomes:
        if outcome.form != AS_WAS:
            assert 0.9 * risk.max_gross * outcome.size < outcome.gross < 1.01 * risk.max_gross * outcome.size
            assert outcome.held == 2


def test_tighter_limits_hold_less_and_lose_less(done: Stress) -> None:
    tight = replace(SETTINGS, risk=RiskSettings(max_position_value=0.1, max_order_value=0.1))
    outcome = stress(SERIES, tight, scenarios=chosen(["luna-2022"])).worst("luna-2022", FULL)

    assert 0.15 < outcome.gross < 0.21
    assert outcome.loss_low < done.worst("luna-2022", FULL).loss_low / 2


def test_a_desk_that_may_hold_nothing_has_no_score() -> None:
    closed = replace(SETTINGS, risk=RiskSettings(max_instrument_volatility=0.001))
    result = stress(SERIES, closed, scenarios=chosen(["october-2025"]))

    assert result.score is None
    assert result.reverse == ()
    assert "No score" in next(sentences(result))


def test_the_breaker_halts_the_desk_where_a_cascade_jumps_its_stops(done: Stress) -> None:
    outcome = done.worst("october-2025", FULL)

    assert outcome.loss_low > SETTINGS.risk.halt_daily_loss
    assert outcome.halted_at is not None
    assert outcome.state == "halted"
    assert "risk.halt_daily_loss" in outcome.why
    assert outcome.stopped_at is not None
    assert outcome.beyond_stop is not None
    assert outcome.beyond_stop > 0.05
    assert outcome.unsent > 0, "its exits could not leave while the venue was closed"


def test_a_desk_that_is_cut_off_loses_more_than_one_that_is_not(done: Stress) -> None:
    reached, gone = each(done, FULL), each(done, CUT_OFF)

    assert all(gone[name].loss_low >= reached[name].loss_low - 1e-9 for name in NAMES)
    assert gone["march-2020"].loss_low > 0.2
    assert gone["march-2020"].unsent > reached["march-2020"].unsent
    assert gone["march-2020"].dark == 2


def test_a_long_desk_without_credit_cannot_lose_more_than_it_holds(done: Stress) -> None:
    for name in ("march-2020", "luna-2022", "october-2025"):
        for outcome in done.of(name, CUT_OFF):
            assert outcome.loss_low < outcome.gross + 0.01
            assert outcome.above_zero


def test_prices_below_zero_are_refused_and_the_desk_stands_halted(done: Stress) -> None:
    """Bars refuse them: nothing fills, nothing is decided. What they mean for the account is told all the same."""
    outcome = done.worst("oil-2020", CUT_OFF)

    assert outcome.refused > 0
    assert outcome.state == "halted"
    assert not outcome.above_zero, "half of the equity was in it, and it fell by three times its price"
    assert done.worst("oil-2020", FULL).above_zero, "the stops had sold before"


def test_a_coin_that_goes_to_zero_takes_one_position_and_halts_the_desk(done: Stress) -> None:
    outcome = done.worst("luna-2022", FULL)

    assert outcome.written_off == pytest.approx(0.25, abs=0.02)
    assert outcome.halted_at == 1


def test_a_venue_that_is_gone_takes_everything(done: Stress) -> None:
    for form, size in FORMS:
        outcome = done.worst("ftx-2022", form, size)
        assert outcome.loss_low == outcome.loss_end == 1
        assert not outcome.above_zero
        assert outcome.state == "halted"


def test_half_of_the_account_is_out_of_reach_of_any_gap(done: Stress) -> None:
    once, twice = (reverse for reverse in done.reverse if reverse.scenario == GAP.name)

    assert [reach.scale is None for reach in once.reaches] == [False, False, True, True]
    assert once.reaches[0].scale == pytest.approx(0.04 / 0.5, abs=0.025)
    assert twice.reaches[0].scale == pytest.approx(0.04, abs=0.025)
    assert all(reach.rising for reach in once.reaches)


def test_borrowed_money_costs_and_a_spot_account_borrows_none(done: Stress) -> None:
    assert all(outcome.financing == 0 for outcome in done.outcomes if outcome.size == 1)
    assert any(outcome.financing > 0 for outcome in done.of("march-2020", CUT_OFF, 2))


def test_the_same_input_gives_the_same_report(done: Stress) -> None:
    names = ("october-2025",)
    first, second = (summary(stress(SERIES, SETTINGS, scenarios=chosen(names))) for _ in range(2))

    assert first == second
    assert [o for o in summary(done)["outcomes"] if o["scenario"] in names] == first["outcomes"]


def test_the_report_says_what_the_score_does_not() -> None:
    assert "not how likely" in NOT_SAID


def test_at_scale_zero_the_run_is_the_unstressed_one_bit_for_bit() -> None:
    ground = run._ground(SERIES, SETTINGS, None, None, "")
    stand = run._stands(ground, 1000)[FULL, 1]
    scenario = chosen(["march-2020"])[0]
    stop = stand.at + 1 + shock.length(scenario, 24) + run.AFTER
    book, state, plain = run._book(SETTINGS, stand.state), stand.state, [stand.state.portfolio.equity]
    for looks in moments([tell(one, SETTINGS, None) for one in ground.told(stand.at + 1, stop)]):
        state, _ = step_moment(looks, state, book, ground.identity)
        plain.append(state.portfolio.equity)

    calm = run.endure(ground, stand, scenario, 0.0, FULL, 1)

    assert calm.curve == tuple((np.array([float(equity) for equity in plain]) / calm.equity).tolist())
    assert (calm.unsent, calm.dark, calm.refused, calm.financing) == (0, 0, 0, 0)


def test_instruments_that_end_at_other_times_walk_the_same_path() -> None:
    series = {"BTC": random_walk(1200, 1), "ETH": random_walk(1000, 2)}
    result = stress(series, SETTINGS, scenarios=chosen(["october-2025"]))

    assert {outcome.held for outcome in result.outcomes if outcome.form == FULL} <= {1, 2}


def test_no_shock_begins_before_the_start() -> None:
    from engine.core.domain.ids import from_epoch_ms

    start = from_epoch_ms(int(SERIES["BTC"].end_ms[1100]))
    result = stress(SERIES, SETTINGS, scenarios=chosen(["october-2025"]), start=start)

    assert min(result.places).timestamp() >= start.timestamp() - run.TRIES * HOUR_MS / 1000


def test_names_that_are_no_scenario_and_files_too_short_are_bad_input() -> None:
    with pytest.raises(BadInput, match="'1929' is no scenario; there are 2008, 1987"):
        chosen(["1987", "1929"])
    with pytest.raises(
        BadInput, match=f"BTC: 500 bars are too few for a stress run, expected {FEWEST} at least"
    ):
        stress({"BTC": random_walk(500, 1)}, trading("BTC"))
    assert chosen([]) == SCENARIOS


def test_the_account_after_a_loss_without_a_trade_is_whole() -> None:
    ground = run._ground(SERIES, SETTINGS, None, None, "")
    held = run._stands(ground, 1000)[FULL, 1].state.portfolio
    gone = run._without(held, run.Loss.POSITION, 1.0)
    half = run._without(held, run.Loss.POSITION, 0.5)
    nothing = run._without(held, run.Loss.BALANCE, 1.0)

    assert len(gone.positions) == len(held.positions) - 1
    assert {order.request.instrument for order in gone.orders} == {p.instrument for p in gone.positions}
    assert half.equity == held.equity - max(p.quantity * held.marks[p.instrument] for p in held.positions) / 2
    assert (nothing.equity, nothing.orders) == (Decimal(0), ())
