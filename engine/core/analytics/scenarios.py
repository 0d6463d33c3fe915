"""Days that are known to have broken desks, as a table: what happened, who says so, and how it is laid on bars.

Each scenario is a combination: a path of prices, a wider spread, less volume, hours without bars or without a venue,
a price for borrowed money, and where it belongs to the day, something that is written to nothing. All instruments
walk the same path at once.

What a path says of a day that the files at hand hold was checked against them (`CHECKED`); the rest is told from
memory of published figures (`RECALLED`). How wide spreads became, how much depth was left and how long venues were
gone is nowhere recorded whole: these are assumptions within the ranges that are told of such days (`ASSUMED`).
"""

from enum import StrEnum

import msgspec


class Standing(StrEnum):
    """How sure a figure is."""

    CHECKED = "checked"
    RECALLED = "recalled"
    ASSUMED = "assumed"


class Fact(msgspec.Struct, frozen=True):
    """One thing that is said of a day, where it is from, and whether it was held against data."""

    text: str
    source: str
    standing: Standing


class Knot(msgspec.Struct, frozen=True, array_like=True):
    """After `day` market days prices are at `level`, as a share of what they were. Between knots they walk a line."""

    day: float
    level: float


class Span(msgspec.Struct, frozen=True, array_like=True):
    """From one moment up to another, in market days."""

    start: float
    stop: float


class Loss(StrEnum):
    """What is written to nothing."""

    NOTHING = ""
    POSITION = "largest position"
    BALANCE = "all that lies at the venue"


class Scenario(msgspec.Struct, frozen=True):
    """One bad time. `spread` and `depth` are multiples of the usual ones while the path lasts.

    `dark` are spans in which no bar comes, `closed` those in which bars come and the venue takes and fills nothing.
    `financing_bps` is what borrowed money costs a day; an account that borrows nothing pays nothing.
    """

    name: str
    title: str
    path: tuple[Knot, ...]
    spread: float
    depth: float
    facts: tuple[Fact, ...]
    dark: tuple[Span, ...] = ()
    closed: tuple[Span, ...] = ()
    financing_bps: float = 0.0
    written_off: Loss = Loss.NOTHING
    written_day: float = 0.0
    """The market day of the path in which that happens, before its bar."""

    @property
    def days(self) -> float:
        """How long the path is, in market days."""
        return self.path[-1].day

    @property
    def lowest(self) -> float:
        """The lowest level of the path; negative where prices were."""
        return min(knot.level for knot in self.path)


class Recorded(msgspec.Struct, frozen=True):
    """A stretch of recorded history (UTC, ISO dates, the end not included) that is told as it was.

    It begins just before the fall, which nobody knew then: so that what is held is there to be hit.
    """

    name: str
    title: str
    start: str
    stop: str


_S_AND_P = "S&P 500, daily closes 1999 to 2018 (the series of the demo)"
_BTC = "BTC/USDT, hourly candles of Binance spot"
_DOGE = "DOGE/USDT perpetual, 5-minute candles of Binance"
_PRESS = "published figures"
_OURS = "assumption"


def _path(*knots: tuple[float, float]) -> tuple[Knot, ...]:
    return tuple(Knot(day, level) for day, level in knots)


def _checked(text: str, source: str) -> Fact:
    return Fact(text, source, Standing.CHECKED)


def _recalled(text: str, source: str = _PRESS) -> Fact:
    return Fact(text, source, Standing.RECALLED)


def _assumed(text: str) -> Fact:
    return Fact(text, _OURS, Standing.ASSUMED)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="2008",
        title="2008: the long slide",
        path=_path(
            (0, 1.0), (30, 0.92), (45, 0.95), (75, 0.865), (105, 0.844), (150, 0.9), (195, 0.805), (225, 0.82),
            (236, 0.775), (244, 0.775), (248, 0.712), (252, 0.629), (255, 0.641), (256, 0.638), (257, 0.58),
            (260, 0.63), (264, 0.56), (272, 0.609), (284, 0.511), (300, 0.583), (315, 0.581), (345, 0.475),
            (355, 0.432), (375, 0.534),
        ),
        spread=10,
        depth=0.1,
        financing_bps=3,
        facts=(
            _checked("1565.15 to 676.53, -56.8 %, in 355 sessions from 9 October 2007", _S_AND_P),
            _checked("the worst day was -9.03 %, 15 October 2008", _S_AND_P),
            _assumed("spread 10 times, a tenth of the volume, 3 bp a day for borrowed money; no outage"),
        ),
    ),
    Scenario(
        name="1987",
        title="19 October 1987",
        path=_path((0, 1.0), (0.05, 0.95), (0.5, 0.9), (0.8, 0.84), (1, 0.795), (1.3, 0.77), (2, 0.838), (3, 0.914)),
        spread=25,
        depth=0.05,
        closed=(Span(1.25, 1.35),),
        financing_bps=3,
        facts=(
            _recalled("the S&P 500 fell 20.5 % in one day, 282.70 to 224.84"),
            _recalled("parts of the market stopped trading about noon of the day after"),
            _assumed("spread 25 times, a twentieth of the volume"),
        ),
    ),
    Scenario(
        name="flash-2010",
        title="6 May 2010, the flash crash",
        path=_path((0, 1.0), (0.6, 0.975), (0.7, 0.955), (0.713, 0.9085), (0.76, 0.965), (1, 0.965)),
        spread=50,
        depth=0.01,
        closed=(Span(0.713, 0.714),),
        facts=(
            _checked(
                "SPY went from 116.82 to 106.13 within the day (-9.15 %) and closed at "
                "112.74",
                "SPY, hourly and daily",
            ),
            _recalled(
                "75,000 E-minis (4.1 bn dollars) were sold in 20 minutes at 9 % of the "
                "volume, with no limit of price; -5 % "
                "in five minutes, a halt of five seconds, then the rebound"
            ),
            _recalled(
                "stub quotes from a cent to 100,000 dollars were hit; those trades "
                "were broken and are not in the path"
            ),
            _assumed("spread 50 times, a hundredth of the volume"),
        ),
    ),
    Scenario(
        name="march-2020",
        title="12 and 13 March 2020",
        path=_path(
            (0, 1.0), (0.35, 0.93), (0.44, 0.76), (0.75, 0.75), (0.97, 0.7), (1.0, 0.59), (1.1, 0.477), (1.2, 0.6),
            (1.5, 0.69), (2, 0.675),
        ),
        spread=30,
        depth=0.05,
        dark=(Span(0.97, 1.06),),
        closed=(Span(1.06, 1.15),),
        financing_bps=30,
        facts=(
            _checked(
                "7,980 to 3,782 in 28 hours (-52.6 %), the worst hour -18.2 %; LINK "
                "was printed near zero",
                _BTC,
            ),
            _recalled("S&P 500: 3386.15 to 2237.40, -33.9 % in 23 sessions, -11.98 % on 16 March"),
            _recalled("a large derivatives venue was unreachable twice within the fall"),
            _assumed(
                "no bars for two hours at the low, then two in which orders fail; "
                "spread 30 times, depth a twentieth"
            ),
        ),
    ),
    Scenario(
        name="oil-2020",
        title="20 April 2020, oil below zero",
        path=_path(
            (0, 1.0), (0.4, 0.8), (0.7, 0.6), (0.83, 0.25), (0.86, 0.0), (0.88, -2.06), (0.95, -1.8), (1.2, 0.1),
            (1.5, 0.3), (2, 0.548),
        ),
        spread=50,
        depth=0.02,
        facts=(
            _recalled(
                "the front month of WTI settled at -37.63 after 18.27 the day before, "
                "and at 10.01 the day after"
            ),
            _assumed("spread 50 times, a fiftieth of the volume"),
        ),
    ),
    Scenario(
        name="may-2021",
        title="19 May 2021",
        path=_path(
            (0, 1.0), (0.2, 0.93), (0.35, 0.94), (0.5, 0.84), (0.56, 0.698), (0.6, 0.82), (0.7, 0.92), (0.85, 0.89),
            (1, 0.835), (1.5, 0.92),
        ),
        spread=20,
        depth=0.05,
        closed=(Span(0.52, 0.63),),
        financing_bps=30,
        facts=(
            _checked("about 43,000 to 30,000 within a day (-30 %), the worst hour -16 % to its low", _BTC),
            _checked("ETH fell 46.7 % from the day before, DOGE 58.5 %", "hourly candles of Binance spot"),
            _recalled("more than 8 bn dollars were liquidated; several venues were gone for hours"),
            _assumed("two and a half hours round the low in which orders fail; spread 20 times, depth a twentieth"),
        ),
    ),
    Scenario(
        name="luna-2022",
        title="May 2022, LUNA and UST",
        path=_path(
            (0, 1.0), (0.5, 0.93), (4, 0.86), (4.5, 0.8), (5, 0.77), (6, 0.78), (6.7, 0.72), (7.2, 0.67), (7.5, 0.71),
            (8, 0.76),
        ),
        spread=20,
        depth=0.05,
        closed=(Span(7.0, 7.2),),
        financing_bps=30,
        written_off=Loss.POSITION,
        facts=(
            _checked("the market beside it: 39,846 to 26,700 in seven days (-33.0 %)", _BTC),
            _recalled("LUNA went from above 80 dollars to a fraction of a cent, UST from one dollar to a few cents"),
            _assumed(
                "the largest position is worth nothing before the first bar, with no "
                "bid on the way: worse than LUNA was"
            ),
            _assumed("spread 20 times, depth a twentieth"),
        ),
    ),
    Scenario(
        name="ftx-2022",
        title="November 2022, FTX",
        path=_path(
            (0, 1.0), (0.8, 0.98), (1.3, 0.93), (1.55, 0.97), (1.7, 0.865), (2.3, 0.86), (2.7, 0.77), (2.92, 0.74),
            (3.1, 0.8), (3.6, 0.85), (4, 0.8),
        ),
        spread=15,
        depth=0.1,
        financing_bps=30,
        written_off=Loss.BALANCE,
        written_day=4,
        facts=(
            _checked("21,070 to 15,588 in three days (-26.0 %)", _BTC),
            _recalled(
                "the venue stopped paying out on 8 November and asked for protection "
                "on the 11th: all there was lost"
            ),
            _assumed("the account is written to nothing at the end of the path; spread 15 times, depth a tenth"),
        ),
    ),
    Scenario(
        name="usdc-2023",
        title="March 2023, USDC off its peg",
        path=_path(
            (0, 1.0), (0.15, 0.985), (0.3, 0.965), (0.43, 0.88), (0.6, 0.91), (0.75, 0.95), (1.1, 0.97), (1.5, 0.947),
            (2, 0.97), (2.3, 0.99), (3, 1.0),
        ),
        spread=30,
        depth=0.05,
        dark=(Span(0.35, 0.45),),
        facts=(
            _recalled("about 0.88 at the low"),
            _checked("0.8994 at the low of 11 March, back at one on the 13th", "USDC/USD, 15 minutes, on-chain pools"),
            _assumed("two and a half hours without bars at the low; spread 30 times, depth a twentieth"),
            _assumed(
                "an account that is kept in the coin itself loses as much against the "
                "dollar: that is not in its books"
            ),
        ),
    ),
    Scenario(
        name="october-2025",
        title="10 October 2025, the cascade",
        path=_path(
            (0, 1.0), (0.0035, 0.976), (0.007, 0.937), (0.0104, 0.945), (0.0139, 0.936), (0.0174, 0.858),
            (0.0208, 0.482), (0.0226, 0.359), (0.0243, 0.621), (0.0278, 0.724), (0.0347, 0.71), (0.0417, 0.79),
            (0.0486, 0.795), (0.0556, 0.778), (0.07, 0.775),
        ),
        spread=50,
        depth=0.02,
        closed=(Span(0.0208, 0.0278),),
        financing_bps=90,
        facts=(
            _checked(
                "0.2337 to 0.0839 in 35 minutes (-64 %), the worst five minutes -44 %, "
                "back at 0.186 half an hour later",
                _DOGE,
            ),
            _recalled("about 19 bn dollars were liquidated in a day; venues closed winning positions to pay for it"),
            _assumed("ten minutes at the low in which orders fail; spread 50 times, a fiftieth of the volume"),
        ),
    ),
)  # fmt: skip

RECORDED: tuple[Recorded, ...] = (
    Recorded("march-2020", "12 and 13 March 2020 as recorded", "2020-03-12T08:00", "2020-03-15T00:00"),
    Recorded("may-2021", "19 May 2021 as recorded", "2021-05-19T00:00", "2021-05-21T00:00"),
    Recorded("november-2022", "FTX, November 2022, as recorded", "2022-11-08T12:00", "2022-11-12T00:00"),
    Recorded("october-2025", "10 October 2025 as recorded", "2025-10-10T20:45", "2025-10-11T04:45"),
)
