"""Checks an answer against the journal before it leaves: everything is read again and written again.

An answer passes when each of its claims is a sentence of the table whose roles are bound to the kinds of record
that the table allows, whose condition holds in the records as they stand, and whose figures, names, dates and ids
are those that the records give now; and when the text is those claims and nothing else. So a changed digit, a
swapped name, a turned sign, a reason that nobody recorded and a negation are all the same thing: not the text
that the records give.
"""

import re
from collections.abc import Sequence

from engine.ports import Journal
from explain.claims import Anchor, Claim, Figure, Reader, Untrue, compose
from explain.narrate import Draft
from explain.sentences import INSIDE, ROLES, TABLE

GLUE = ("\n", "; ", ", ", " ", "")
"""What may stand between two claims."""


def faults(
    text: str,
    figures: Sequence[Figure],
    citations: Sequence[str],
    draft: Draft,
    journal: Journal,
    searched: Reader | None = None,
) -> tuple[str, ...]:
    """What is wrong with an answer; nothing when the records bear it out. Searches already made are not repeated."""
    reader = Reader(journal, searched)
    found = [fault for claim in draft.claims for fault in _misbound(claim, reader)]
    try:
        said = compose(draft.claims, TABLE, reader)
    except Untrue as error:
        return (*found, str(error))
    expected = with_notes(draft.notes, said.text)
    if text != expected:
        found.append(f"the text differs from the records: {_difference(text, expected)}")
    found += [
        f"figure {there.text!r} of {there.record} {there.field} is {here.text!r} in the records"
        for there, here in zip(figures, said.figures, strict=False)
        if there != here
    ]
    if len(figures) != len(said.figures):
        found.append(f"{len(figures)} figures where the records give {len(said.figures)}")
    if tuple(citations) != said.records:
        found.append("the citations are not the records that the answer rests on")
    found += [f"there is no record {cited}" for cited in citations if reader.record(cited) is None]
    return tuple(found)


def with_notes(notes: Sequence[str], text: str) -> str:
    """The answer, and under it what must be said of the question."""
    return "\n".join([*([text] if text else []), *notes])


def _misbound(claim: Claim, reader: Reader) -> list[str]:
    found = [] if claim.glue in GLUE else [f"{claim.sentence}: {claim.glue!r} stands before it"]
    for role, anchor in claim.roles.items():
        kind, shape = ROLES.get(role, ("", ""))
        if _kind(anchor, reader) != kind or re.fullmatch(shape, anchor.path) is None:
            found.append(f"{claim.sentence}: {role} is bound to {anchor.record} {anchor.path}")
        owner = claim.roles.get(INSIDE.get(role, ""))
        if owner is not None and owner.record != anchor.record:
            found.append(f"{claim.sentence}: {role} is of {anchor.record}, not of {owner.record}")
    return found


def _kind(anchor: Anchor, reader: Reader) -> str:
    if "?" in anchor.record:
        return anchor.record.partition("?")[0] + "?"
    record = reader.record(anchor.record)
    return str(type(record).__struct_config__.tag) if record is not None else "nothing"


def _difference(text: str, expected: str) -> str:
    place = next(
        (i for i, (a, b) in enumerate(zip(text, expected, strict=False)) if a != b),
        min(len(text), len(expected)),
    )
    return f"{text[max(0, place - 20) : place + 20]!r} for {expected[max(0, place - 20) : place + 20]!r}"
