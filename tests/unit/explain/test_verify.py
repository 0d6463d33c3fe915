import random
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from msgspec.structs import replace

from explain import narrate, why
from explain.claims import Anchor, Claim, Figure, Reader, compose
from explain.evidence import gather, survey
from explain.narrate import Draft
from explain.question import parse
from explain.sentences import INSIDE, ROLES, TABLE
from explain.verify import faults, with_notes
from tests.builders import CLOSE, DAY, cycle_record, position, start_record
from tests.fakes import ListJournal
from tests.unit.explain.test_why import KINDS, _journal

NUMBER = re.compile(r"(?<![\w-])[-+]?\d[\d,]*(?:\.\d+)?(?![\w-])")
NAMES = (
    "momentum",
    "trend",
    "mean reversion",
    "SP500",
    "NASDAQ",
    "weak up",
    "crash",
    "stop",
    "target",
    "trailing",
)
TURNED = (
    ("long", "short"),
    ("buy", "sell"),
    ("at least", "at most"),
    ("passed", "failed"),
    ("lost", "gained"),
)


def drafted(question: str, journal: ListJournal) -> tuple[Draft, str, tuple[Figure, ...], tuple[str, ...]]:
    """An answer before it is checked."""
    reader = Reader(journal)
    scope = survey(reader)
    assert scope is not None
    asked = parse(question, scope)
    draft = narrate.narrate(gather(asked, reader, scope), asked.notes)
    said = compose(draft.claims, TABLE, reader)
    return draft, with_notes(draft.notes, said.text), said.figures, said.records


def corrupted(text: str, chance: random.Random) -> Iterator[str]:
    """The text with one thing wrong, in every way that a careless or lying writer would get it wrong."""
    numbers = list(NUMBER.finditer(text))
    for match in numbers:
        digit = chance.choice([place for place, c in enumerate(match[0]) if c.isdigit()])
        other = str((int(match[0][digit]) + chance.randint(1, 9)) % 10)
        yield text[: match.start() + digit] + other + text[match.start() + digit + 1 :]
        turned = match[0][1:] if match[0][0] == "-" else f"-{match[0].lstrip('+')}"
        yield text[: match.start()] + turned + text[match.end() :]
    for one, two in pairwise(numbers):
        if one[0] != two[0]:
            between = text[one.end() : two.start()]
            yield text[: one.start()] + two[0] + between + one[0] + text[two.end() :]
    for name in NAMES:
        for match in re.finditer(re.escape(name), text):
            other = chance.choice([each for each in NAMES if each != name])
            yield text[: match.start()] + other + text[match.end() :]
    for one_word, other_word in (*TURNED, *[(b, a) for a, b in TURNED]):
        if one_word in text:
            yield text.replace(one_word, other_word, 1)
    for match in re.finditer(r"\[[^\]]{12,}\]", text):
        yield (
            text[: match.end() - 2] + ("0" if text[match.end() - 2] != "0" else "1") + text[match.end() - 1 :]
        )
    yield text.replace(": ", ", because whales were buying: ", 1)
    yield f"{text}\nIt will recover tomorrow."
    yield text.replace(" was ", " was not ", 1) if " was " in text else f"Not so: {text}"
    yield "\n".join(text.splitlines()[:-1])


@pytest.fixture(scope="module")
def journal() -> ListJournal:
    return _journal()


@pytest.mark.parametrize("question", KINDS)
def test_a_faithful_answer_raises_no_alarm(question: str, journal: ListJournal) -> None:
    draft, text, figures, citations = drafted(question, journal)

    assert faults(text, figures, citations, draft, journal) == ()


def test_of_all_corrupted_texts_more_than_99_of_100_are_caught(journal: ListJournal) -> None:
    chance = random.Random(7)
    tried = missed = 0
    for question in KINDS:
        draft, text, figures, citations = drafted(question, journal)
        for wrong in corrupted(text, chance):
            if wrong == text:
                continue
            tried += 1
            missed += not faults(wrong, figures, citations, draft, journal)

    assert tried > 700
    assert missed / tried <= 0.01


def test_a_figure_that_lies_together_with_the_text_is_caught(journal: ListJournal) -> None:
    for question in KINDS:
        draft, text, figures, citations = drafted(question, journal)
        for place, figure in enumerate(figures):
            lie = replace(figure, text=f"{figure.text}9", value=9)
            told = (*figures[:place], lie, *figures[place + 1 :])
            assert faults(text.replace(figure.text, lie.text), told, citations, draft, journal)
            moved = replace(figure, field=f"{figure.field}.other")
            assert faults(text, (*figures[:place], moved, *figures[place + 1 :]), citations, draft, journal)
        assert faults(text, figures[:-1], citations, draft, journal)
        assert faults(text, figures, citations[:-1], draft, journal)
        assert faults(text, figures, (*citations, "d-gone"), draft, journal)


def test_a_record_that_changed_under_the_answer_is_caught() -> None:
    before = cycle_record("no_signal")
    journal = ListJournal(start_record(), before)
    draft, text, figures, citations = drafted("why no trade in SP500", journal)

    checks = before.result.review.checks
    other = replace(checks[3], value=0.6)
    review = replace(before.result.review, checks=(*checks[:3], other, *checks[4:]))
    journal.replace(replace(before, result=replace(before.result, review=review)))

    assert faults(text, figures, citations, draft, journal)


def _bound_anew(claims: tuple[Claim, ...], place: int, role: str, anchor: Anchor) -> tuple[Claim, ...]:
    claim = replace(claims[place], roles=claims[place].roles | {role: anchor})
    return (*claims[:place], claim, *claims[place + 1 :])


def test_a_claim_bound_to_the_wrong_place_is_caught_even_when_its_text_is_rendered_from_it() -> None:
    """The writer itself may have a bug: another check as the first one, another decision's vote, a fee as a price."""
    journal = ListJournal(
        start_record(),
        cycle_record("no_signal", CLOSE),
        cycle_record("no_signal", CLOSE + DAY, held=None),
        cycle_record("held", CLOSE + 2 * DAY, held=position()),
    )
    first = journal.find(kind="cycle", newest_first=False)[0].record.id
    second = journal.find(kind="cycle", newest_first=False)[1].record.id
    draft, _, _, _ = drafted("why no trade in SP500 on 15 Oct 2008", journal)
    wrongs = []
    for place, claim in enumerate(draft.claims):
        if "check" in claim.roles:
            wrongs.append((place, "check", Anchor(first, "result.review.checks[0]")))
            wrongs.append((place, "check", Anchor(second, claim.roles["check"].path)))
            wrongs.append((place, "check", Anchor(first, "result.size.steps[0]")))
        if "vote" in claim.roles:
            wrongs.append((place, "vote", Anchor(second, claim.roles["vote"].path)))
            wrongs.append((place, "vote", Anchor(first, "result.forecast")))
    assert len(wrongs) >= 9
    for place, role, anchor in wrongs:
        lying = Draft(draft.notes, _bound_anew(draft.claims, place, role, anchor))
        said = why.checked(lying, "why_not", Reader(journal))
        assert said.text == why.WITHHELD, (place, role, anchor)


def test_an_answer_that_fails_is_withheld_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    journal = ListJournal(start_record(), cycle_record())
    draft = Draft((), (Claim("invented", {}),))

    answer = why.checked(draft, "why_entry", Reader(journal))

    assert (answer.text, answer.refused, answer.figures) == (why.WITHHELD, True, ())
    assert "invented is not a sentence of the table" in caplog.text


def test_no_sentence_of_the_table_brings_a_digit_of_its_own() -> None:
    for name, sentence in TABLE.items():
        assert not re.search(r"\d", re.sub(r"\{[^}]*\}", "", sentence.text)), name


def test_every_slot_of_the_table_speaks_of_a_role_with_a_place() -> None:
    for name, sentence in TABLE.items():
        for slot in re.findall(r"\{([^{}:]+):", sentence.text):
            inner = re.sub(r"^\w+\(|\)$", "", slot)
            for part in inner.split(","):
                assert part.strip().partition(".")[0] in ROLES, (name, slot)
    assert set(INSIDE) <= set(ROLES)


def test_money_is_told_in_the_currency_that_the_desk_counts_in() -> None:
    journal = ListJournal(start_record(), cycle_record())
    assert Reader(journal).currency == "USD"
    assert Reader(ListJournal(cycle_record())).currency == ""
