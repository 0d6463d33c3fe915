"""The words of questions: which kinds there are, by which rules a text is one of them, and what is ordinary speech."""

import re
from enum import StrEnum


class Kind(StrEnum):
    """What is asked."""

    WHY = "why"
    WHY_ENTRY = "why_entry"
    WHY_EXIT = "why_exit"
    WHY_NOT = "why_not"
    WHY_SIZE = "why_size"
    WHY_OPEN = "why_open"
    WHY_HALTED = "why_halted"
    COUNT = "count"
    PROFIT = "profit"
    LAST_TRADE = "last_trade"
    BEST_TRADE = "best_trade"
    WORST_TRADE = "worst_trade"
    STATUS = "status"
    HELP = "help"


_WHY = r"(?:why|how come|what made|for what reason|what was the reason|reason|explain|what caused|how did it happen)"
_NOT = (
    r"(?:no|not|never|nothing|without|skip\w*|ignor\w*|refus\w*|reject\w*|block\w*|declin\w*|pass(?:ed)? on"
    r"|miss\w*|prevent\w*|stop(?:ped)? you from|kept? you from|held you back)"
)
_BUY = r"(?:buy|buys|buying|bought|long|longed|purchas\w*)"
_SELL = r"(?:sell|sells|selling|sold)"
_SHORT = r"(?:short|shorted|shorting)"
_ENTER = r"(?:enter\w*|entry|entries|open(?:ed|ing)?|get in(?:to)?|got in(?:to)?|go in(?:to)?|took|take)"
_CLOSE = (
    r"(?:clos(?:e|ed|ing)|exit\w*|get out|got out|getting out|leave|left|stopped out|take profit|took profit"
    r"|stop loss|stop-loss|cover(?:ed)?|liquidat\w*|flatten\w*|end(?:ed)?)"
)
_TRADE = r"(?:trade\w*|trading|position\w*|signal\w*|act|acted|action\w*|order\w*|move|deal\w*)"
_MONEY = r"(?:make|made|earn\w*|lose|lost|losing|profit\w*|loss|losses|pnl|p&l|p/l|gain\w*|return\w*|money)"
_MOVED = r"(?:fall|fell|drop\w*|crash\w*|rise|rose|rall\w*|jump\w*|go up|went up|go down|went down)"
_MUCH = r"(?:much|many|big|large|little|small|few)"
_HOLD = r"(?:hold|holding|held|own|owning|keep|keeping|in a position|in the market|open|long|short)"

# The first rule that fits gives the kind and the word for what happened. A rule is a list of alternatives.
# Questions that records cannot answer come first.
_TABLE: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    (
        Kind.HELP,
        "future",
        (
            r"\b(?:will|should i|should we|going to|gonna|forecast for|predict\w*|tomorrow)\b",
            r"\bnext (?:day|week|month|year)\b",
        ),
    ),
    (
        Kind.HELP,
        "market",
        (
            rf"\b{_WHY}\b.*\b(?:market|price|index|stock|it)\b.*\b(?:{_MOVED}|mov\w*)\b",
            rf"\b{_WHY}\b(?!.*\b(?:you|we|desk|bot)\b).*\b{_MOVED}\b",
        ),
    ),
    (
        Kind.WHY_HALTED,
        "halt",
        (r"\b(?:halt\w*|kill\w*|breaker\w*|stopped trading|stop trading|paus\w*|reducing|shut down)\b",),
    ),
    (
        Kind.WHY_SIZE,
        "size",
        (
            rf"\b(?:siz\w+|(?:so|that) {_MUCH}|quantity|amount|bigger|smaller|only)\b",
            r"\bhow much did (?:you|we) (?:buy|sell|put)\b",
        ),
    ),
    (
        Kind.PROFIT,
        "profit",
        (
            rf"\b(?:how much|what(?! made)|how did)\b.*\b{_MONEY}\b",
            r"^\W*(?:pnl|p&l|p/l|profits?|profit and loss|net profit|results?|performance)\b",
        ),
    ),
    (Kind.COUNT, "trades", (r"\b(?:how many|number of|count(?: of)?|how often)\b",)),
    (
        Kind.WHY_OPEN,
        "open",
        (
            r"\b(?:still|not yet)\b.*\b(?:open|hold\w*|held|long|short|in|own|have|running)\b",
            rf"\bwhy\b.*\b(?:do|are|is|does)\b.*\b{_HOLD}\b",
            r"\bwhy\b.*\bdid\b.*\b(?:hold|keep|own)\b",
        ),
    ),
    (
        Kind.WHY_OPEN,
        "close",
        (rf"\b{_NOT}\b.*\b(?:{_CLOSE}|{_SELL})\b", rf"\b(?:{_CLOSE}|{_SELL})\b.*\byet\b"),
    ),
    (Kind.WHY_NOT, "buy", (rf"\b{_NOT}\b.*\b{_BUY}\b",)),
    (Kind.WHY_NOT, "short", (rf"\b{_NOT}\b.*\b{_SHORT}\b",)),
    (
        Kind.WHY_NOT,
        "trade",
        (
            rf"\b{_NOT}\b.*\b(?:{_TRADE}|{_ENTER}|anything|happen\w*|do)\b",
            rf"\b(?:{_WHY}|what|who)\b.*\b(?:no|not|nothing|skip\w*|ignor\w*|refus\w*|reject\w*|block\w*)\b",
            rf"\b(?:{_WHY}|what|who)\b.*\b(?:declin\w*|miss\w*|prevent\w*|stopped (?:you|us|the))\b",
            r"\b(?:refused|rejected|blocked|whynot)\b",
        ),
    ),
    (
        Kind.WHY_EXIT,
        "close",
        (rf"\b(?:{_WHY}|when|how|what|who)\b.*\b(?:{_CLOSE}|lose|lost|losing|gone)\b",),
    ),
    (
        Kind.WORST_TRADE,
        "worst",
        (r"\b(?:worst|biggest loss|largest loss|biggest loser|most losing)\b",),
    ),
    (
        Kind.BEST_TRADE,
        "best",
        (r"\b(?:best|(?:biggest|largest) (?:win|winner|gain|profit)|most profitable)\b",),
    ),
    (Kind.WHY_EXIT, "sell", (rf"\b(?:{_WHY}|when|how)\b.*\b{_SELL}\b",)),
    (Kind.WHY_ENTRY, "short", (rf"\b(?:{_WHY}|when|how)\b.*\b{_SHORT}\b",)),
    (Kind.WHY_ENTRY, "buy", (rf"\b(?:{_WHY}|when|how)\b.*\b{_BUY}\b",)),
    (Kind.WHY_ENTRY, "enter", (rf"\b(?:{_WHY}|when|how)\b.*\b{_ENTER}\b",)),
    (
        Kind.LAST_TRADE,
        "last",
        (r"\b(?:last|latest|most recent|newest|previous)\b.*\b(?:trade|deal|position|exit)\b",),
    ),
    (Kind.WHY_ENTRY, "trade", (rf"\b{_WHY}\b.*\b{_TRADE}\b",)),
    (
        Kind.STATUS,
        "status",
        (
            r"\b(?:status|positions?|holding|equity|balance|what(?:'s| is) open)\b",
            r"\bwhat (?:do|did) (?:you|we) (?:hold|own)\b",
        ),
    ),
    (Kind.WHY_EXIT, "close", (rf"^\W*{_CLOSE}\b",)),
    (
        Kind.WHY,
        "decide",
        (
            rf"\b(?:{_WHY}|what happened|what did (?:you|we) do|what was decided)\b",
            r"\b(?:decid\w+|decision)\b",
        ),
    ),
)

RULES: tuple[tuple[Kind, str, re.Pattern[str]], ...] = tuple(
    (kind, event, re.compile("|".join(alternatives), re.ASCII)) for kind, event, alternatives in _TABLE
)

_ORDINARY = """
a about above across act acted action actions actually after afternoon again against ago all alone already
also although always am amount an and another answer any anything anyway apr april are around as ask at aug
august average away back bad bar bar's bars be because been before being below best between big bigger
biggest block blocked bot both bottom bought but buy buying buys by c'mon call came can cause caused cheap
check checks close close's closed closes closing come completely cost costs count cover covered d daily day
days deal deals dec december decide decided deciding decision decisions declined desk did didn didnt
different do does doesn doesnt doing don done dont down during each earlier early earn earned else end ended
enough enter entered entering entries entry equity even evening ever every everything exactly exit exited
exiting exits expensive explain explained far fast feb february fee fees few fill filled fills first flat
for friday from full gain gained gains get getting give go going gone good got great had half halt halted
halting happen happened happening happens has hasn hasnt have haven havent having held hello help here hey
hi high higher hold holding holds hour hours how how's i ignore ignored ignoring immediately in instead into
is isn isnt it it's its jan january jul july jun june just keep keeping kept kill killed kind large largest
last late lately later latest leave leaving left less like liked liquidate little ll long longer look lose
loser losing loss losses lost low lower m made make making many mar march market market's may me midday miss
missed missing monday money month months more morning most move much my n't near net never newest night no
nobody noon not nothing nov november now number oct october of off often ok okay on once one only open
open's opened opening or order ordered orders other our out over own owning p paid part partly pass passed
past pause paused per performance please pnl position position's positions possible prevent prevented
previous price price's profit profitable profits purchase purchased put quantity quarter question quickly
rather re really reason reasoning reasons recent recently record recorded records reducing refuse refused
refusing reject rejected rejecting resize result results return returns right run running s same saturday
second see sell selling sells sep sept september shares short shorted shorting should show shut side signal
signals since size sized sizes sizing skip skipped skipping slippage slowly small smaller so sold some
something something's soon sooner state status still stop stop-loss stopped stopping story such suddenly
sunday system t take taken takes taking target tell telling than thank thanks that that's the their them
then there these they thing this those though thursday till time times to today told too took top trade
traded trader trades trading trailing triggered tuesday under units until up us usually utc ve very was
was'nt wasn wasnt way we wednesday week weeks went were weren werent what what's whats when where which
while who whole whose why why's whydesk whynot whywas will win winner winning with within without work
working worst would year years yes yesterday yet you your
"""
KNOWN = frozenset(_ORDINARY.split())
"""Ordinary words of questions: never an instrument, and never told as not understood."""
