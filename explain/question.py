"""Words become a typed question, by rules: the same text is always read the same way.

What is not understood is named, never guessed: an unknown instrument, an impossible date, a leftover word.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta

import msgspec

from engine.core.domain.errors import BadQuestion
from engine.core.domain.order import Side
from explain.claims import Period
from explain.dates import find_clock, find_period
from explain.grammar import KNOWN, RULES, Kind

LONGEST = 500
"""Characters of a question."""


class Scope(msgspec.Struct, frozen=True):
    """What the records speak of: instruments, and the moments of the oldest and the newest decision."""

    instruments: tuple[str, ...]
    first: datetime
    last: datetime


class Question(msgspec.Struct, frozen=True):
    """What was understood.

    `event` is the word for what happened (buy, sell, close, trade ...): "sell" may close a long or open a short,
    which only the records can tell. `notes` are told with the answer: what was assumed, read differently or not
    understood. `refusal` is the whole answer when the question cannot be asked of the records.
    """

    kind: Kind
    instrument: str = ""
    period: Period | None = None
    clock: time | None = None
    side: Side | None = None
    event: str = ""
    record: str = ""
    residue: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""


HELP = (
    "Ask why the desk bought, sold, closed, held, sized or did not trade an instrument, on a day if you like:"
    " “why did you buy SP500 on 15 Oct 2008?”, “why no trade in SP500 last week?”, “why that size?”,"
    " “why is SP500 still open?”, “how many trades in 2008?”, “worst trade?”. Answers come from the records only."
)

_REFUSED = {
    "future": "The records say what was decided and why. They do not say what will come, and nobody here guesses.",
    "market": "The records hold the desk's decisions and the prices it saw, not the causes of market moves.",
}

_RECORD = re.compile(
    r"(?<![\w-])(?:(?:d|c|f|t|tr|o|i|cmd|r|s|a)-[0-9a-z]+(?:-[0-9a-z]+)*|wd[0-9a-z]{20,30})(?![\w-])"
)
_DAYS_AND_NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/.&-]*")


def normalised(text: str) -> str:
    """The text on one line, in one form of Unicode, without control characters or invisible ones."""
    plain = unicodedata.normalize("NFKC", text[: LONGEST * 4])
    kept = "".join(" " if unicodedata.category(c)[0] in "ZC" else c for c in plain)
    for curly in "’‘`´":
        kept = kept.replace(curly, "'")
    return " ".join(kept.split())


def parse(text: str, scope: Scope, now: datetime | None = None) -> Question:
    """Read a question. `now` is what "today" counts from; the newest record when it is not given."""
    plain = normalised(text)
    if len(plain) > LONGEST or len(text) > LONGEST * 4:
        return Question(
            Kind.HELP, refusal=f"A question may have at most {LONGEST} characters, this one has more."
        )
    if not plain:
        return Question(Kind.HELP, refusal=HELP)
    try:
        return _parse(plain, scope, now or scope.last)
    except BadQuestion as error:
        return Question(_kind(plain.lower(), "")[0], refusal=f"{error}.")


def _parse(plain: str, scope: Scope, now: datetime) -> Question:
    asked = _RECORD.search(plain.lower())
    record = asked[0] if asked else ""
    if record:
        place = plain.lower().index(record)
        plain = f"{plain[:place]} {plain[place + len(record) :]}"
    names, rest = _named(plain, scope.instruments)
    clock, rest = find_clock(rest.lower())
    found = find_period(rest, _day_of(now))
    period = found.period or (Period(_day_of(now), _day_of(now)) if clock else None)
    kind, event = _kind(_expanded(found.rest), record)
    if event in _REFUSED:
        return Question(kind, refusal=_REFUSED[event])
    if kind is Kind.HELP:
        return Question(kind, refusal=HELP)
    notes = [f"Read “{typed}” as {name}." for typed, name in names if typed.casefold() != name.casefold()]
    instrument, assumed = _choose(kind, [name for _, name in names], plain, found.rest, scope, record)
    residue = _residue(found.rest)
    if residue:
        notes.append(f"Not understood and left out: {', '.join(residue)}.")
    return Question(
        kind=kind,
        instrument=instrument,
        period=_within(period, scope),
        clock=clock,
        side={"buy": Side.BUY, "sell": Side.SELL, "short": Side.SELL}.get(event),
        event=event,
        record=record,
        residue=residue,
        notes=(*notes, *assumed),
    )


def _expanded(text: str) -> str:
    """One space between words, and every "n't" as the "not" that it is.

    >>> _expanded("why didn't you, why wasnt it")
    'why did not you, why was not it'
    """
    return " ".join(
        re.sub(r"(?<=[a-z])n't\b|\b(do|does|did|was|is|has|have|were)nt\b", r"\1 not", text).split()
    )


def _kind(text: str, record: str) -> tuple[Kind, str]:
    if record and not re.search(r"\b(?:siz\w+|much|quantity|not|no)\b", text):
        return Kind.WHY, "record"
    for kind, event, pattern in RULES:
        if pattern.search(text):
            return kind, event
    return (Kind.WHY, "record") if record else (Kind.HELP, "help")


def _day_of(moment: datetime) -> date:
    """The day that a bar known at `moment` covers: midnight belongs to the day before."""
    return (moment - timedelta(microseconds=1)).date()


def _within(period: Period | None, scope: Scope) -> Period | None:
    """A period that reaches beyond the records on one side ends where they do."""
    if period is None:
        return None
    first, last = _day_of(scope.first), _day_of(scope.last)
    if period.last < first or period.first > last:
        return period
    return Period(max(period.first, first), min(period.last, last))


# --- instruments ---


def _named(plain: str, known: Sequence[str]) -> tuple[list[tuple[str, str]], str]:
    """Instruments named in the text, each as (typed, name) once, and the text without them."""
    by_fold = {_folded(name): name for name in known}
    words = [(match.start(), match.end()) for match in _DAYS_AND_NAMES.finditer(plain)]
    found: list[tuple[str, str]] = []
    taken: list[tuple[int, int]] = []
    place = 0
    while place < len(words):
        for many in (3, 2, 1):
            part = words[place : place + many]
            if len(part) < many:
                continue
            typed = plain[part[0][0] : part[-1][1]].rstrip(".-/&")
            name = _match(typed, by_fold, fuzzy=many == 1)
            if name:
                found.append((typed, name))
                taken.append((part[0][0], part[0][0] + len(typed)))
                place += many - 1
                break
        place += 1
    rest = plain
    for start, end in reversed(taken):
        rest = f"{rest[:start]} {rest[end:]}"
    return list({name: (typed, name) for typed, name in found}.values()), rest


def _folded(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _match(typed: str, by_fold: dict[str, str], *, fuzzy: bool) -> str:
    folded = _folded(typed)
    if folded in by_fold and (typed.casefold() not in KNOWN or typed == by_fold[folded]):
        return by_fold[folded]
    if not fuzzy or len(folded) < 4 or typed.casefold() in KNOWN or folded.isdigit():
        return ""
    near = [name for fold, name in by_fold.items() if len(fold) >= 4 and _one_edit(folded, fold)]
    begun = [name for fold, name in by_fold.items() if fold.startswith(folded)]
    for found in (near, begun):
        if len(found) == 1:
            return found[0]
    return ""


def _one_edit(a: str, b: str) -> bool:
    """Whether one letter changed, added, left out or swapped with its neighbour makes one the other."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return a == b
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        swapped = a[same : same + 2] == b[same : same + 2][::-1] and a[same + 2 :] == b[same + 2 :]
        return a[same + 1 :] == b[same + 1 :] or swapped
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return longer[same + 1 :] == shorter[same:]


_WITHOUT_INSTRUMENT = {
    Kind.WHY_HALTED,
    Kind.STATUS,
    Kind.COUNT,
    Kind.PROFIT,
    Kind.LAST_TRADE,
    Kind.BEST_TRADE,
    Kind.WORST_TRADE,
}


def _choose(
    kind: Kind, names: list[str], plain: str, rest: str, scope: Scope, record: str
) -> tuple[str, tuple[str, ...]]:
    """The instrument that is asked about, and what was assumed to find it. BadQuestion when it must be asked."""
    listed = ", ".join(scope.instruments[:20])
    if len(names) > 1:
        raise BadQuestion(f"One at a time, please: {' or '.join(names)}")
    if names:
        return names[0], ()
    strange = _strange(plain, rest)
    if strange:
        raise BadQuestion(f"There is no “{strange}” in the records, which hold {listed}")
    if record or kind in _WITHOUT_INSTRUMENT:
        return "", ()
    if len(scope.instruments) == 1:
        return scope.instruments[0], (f"{scope.instruments[0]} is the only instrument in the records.",)
    raise BadQuestion(f"Which instrument? The records hold {listed}")


_OBJECT = re.compile(
    r"\b(?:buy|bought|buying|sell|sold|selling|trade|traded|trades|short|shorted|long|enter|entered|close|closed"
    r"|exit|exited|hold|holding|held|own|in|of|on|is|was|not|why|position|no)\s+(?:any\s+|the\s+|a\s+|my\s+|our\s+|in\s+)*"
    r"([a-z][a-z0-9_/.&-]+)",
    re.ASCII,
)


def _strange(plain: str, rest: str) -> str:
    """A word that stands where an instrument does, or is written like one, and is none."""
    for word in re.findall(r"\b[A-Z][A-Z0-9]{1,9}(?:[/-][A-Z0-9]{2,9})?\b", plain):
        if word.casefold() not in KNOWN and not plain.isupper() and word.casefold() in rest:
            return str(word)
    for word in _OBJECT.findall(rest):
        if word.rstrip(".-/&") not in KNOWN and not _looks_known(word):
            return str(word.rstrip(".-/&"))
    return ""


def _looks_known(word: str) -> bool:
    """An ordinary word in another form, or one of the desk's own words."""
    stems = {
        word,
        word.rstrip("s"),
        word.removesuffix("ed"),
        word.removesuffix("ing"),
        word.removesuffix("ly"),
    }
    return not KNOWN.isdisjoint(stems) or bool(re.fullmatch(r"\d.*|.*'.*", word))


def _residue(rest: str) -> tuple[str, ...]:
    """Words that play no part in what was understood; at most five are named."""
    words = re.findall(r"[^\W_][\w&/.-]*", rest)
    left = [w.rstrip(".-/&") for w in words if w.rstrip(".-/&") not in KNOWN and not _looks_known(w)]
    return tuple(_unique(w[:30] for w in left))[:5]


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
