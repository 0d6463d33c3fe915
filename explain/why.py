"""The one door: a question in, an answer out, every figure of which stands in a record that it cites."""

import logging
from datetime import datetime

import msgspec

from engine.core.domain.ids import record_id
from engine.core.domain.records import AnswerRecord
from engine.ports import Journal
from explain.claims import Figure, Reader, Untrue, compose
from explain.evidence import gather, survey
from explain.narrate import Draft, narrate
from explain.question import Kind, normalised, parse
from explain.sentences import TABLE
from explain.verify import faults, with_notes

log = logging.getLogger(__name__)

EMPTY = "There are no decisions in the records yet, so there is nothing to explain."
WITHHELD = "The answer did not agree with the records when it was checked, so it is withheld. This is logged."


class Answer(msgspec.Struct, frozen=True):
    """What is told, and what it rests on. `refused` when the records do not answer the question."""

    text: str
    kind: str
    refused: bool
    figures: tuple[Figure, ...] = ()
    citations: tuple[str, ...] = ()
    latency_ms: float = 0.0


def why(text: str, journal: Journal, *, now: datetime | None = None) -> Answer:
    """Answer from the records only. The same question to the same journal gets the same answer.

    `now` is what "today" counts from; the newest decision when it is not given.
    """
    reader = Reader(journal)
    scope = survey(reader)
    if scope is None:
        return Answer(EMPTY, Kind.HELP, refused=True)
    question = parse(text, scope, now)
    if question.refusal:
        return Answer(question.refusal, question.kind, refused=True)
    draft = narrate(gather(question, reader, scope), question.notes)
    return checked(draft, question.kind, reader)


def checked(draft: Draft, kind: str, reader: Reader) -> Answer:
    """The draft written out and read again against the journal; withheld when the two differ."""
    try:
        said = compose(draft.claims, TABLE, reader)
    except Untrue as error:
        return _withheld(kind, (str(error),))
    answer = Answer(
        text=with_notes(draft.notes, said.text),
        kind=kind,
        refused=draft.refused,
        figures=said.figures,
        citations=said.records,
    )
    wrong = faults(answer.text, answer.figures, answer.citations, draft, reader.journal, reader)
    return _withheld(kind, wrong) if wrong else answer


def _withheld(kind: str, wrong: tuple[str, ...]) -> Answer:
    log.error("an answer (%s) was withheld: %s", kind, "; ".join(wrong))
    return Answer(WITHHELD, kind, refused=True)


def answer_record(answer: Answer, text: str, by: str, at: datetime) -> AnswerRecord:
    """The record of a question and its answer, for the journal."""
    asked = normalised(text)
    return AnswerRecord(
        id=record_id("a", at, by, asked),
        at=at,
        by=by,
        question=asked[:500],
        answer=answer.text,
        refused=answer.refused,
        citations=answer.citations,
    )
