"""The outside world on one page: what the engine needs from whatever surrounds it, and what each promises."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from engine.core.domain.commands import Command, Outcome
from engine.core.domain.events import Recorded
from engine.core.domain.market import Bar, BarArrays
from engine.core.domain.order import OrderRequest, OrderUpdate, Side, Submission
from engine.core.domain.records import Observation, Record
from engine.core.domain.risk import TradingState
from engine.core.domain.signal import Prediction
from engine.core.domain.venue import Account, Depth, Sighting, Traits


class Clock(Protocol):
    """What time it is. Replay has its own."""

    def now(self) -> datetime:
        """The present moment, aware and UTC. It may be set, and so step in either direction."""

    def monotonic(self) -> float:
        """Seconds that only ever grow: for how long something has taken."""

    def machine(self) -> str:
        """Names the start of the machine that these seconds count from, for processes that come after this one.

        Empty where they mean nothing to another process.
        """


class Feed(Protocol):
    """Where bars come from."""

    def history(self, instrument: str, before: datetime, bars: int) -> BarArrays:
        """At most `bars` closed bars that were known before `before`, oldest first."""

    def stream(self, after: datetime | None) -> AsyncIterator[Sequence[Bar]]:
        """Closed bars that became known after `after`, in time order: all instruments of one moment at once."""


class Venue(Protocol):
    """Where orders go.

    `prepare`, `submit` and `cancel` never raise: what became of a request that was not answered is unknown, and that
    is the answer. The others raise VenueDown when the venue cannot be asked; asking again is safe. Whatever is told
    may be told again: a fill is known by its trade id.
    """

    @property
    def traits(self) -> Traits:
        """What it can do."""

    async def prepare(self, order: OrderRequest) -> None:
        """Fetch whatever sending the order needs, so that nothing is waited for between the last check and the send."""

    async def submit(self, order: OrderRequest) -> Submission:
        """Send once. ACCEPTED, REFUSED by the venue, EXPIRED if it certainly never left, or UNKNOWN."""

    async def cancel(self, order: OrderRequest) -> Submission:
        """Ask for the order's end. CANCELLED, REFUSED when it is not open there (any more), or UNKNOWN."""

    async def lookup(self, order: OrderRequest) -> Sighting | None:
        """The order as the venue knows it by its client id, open or ended; None when it shows no trace of it."""

    async def updates(self, bars: Sequence[Bar]) -> Sequence[OrderUpdate]:
        """What it tells by itself since last asked; `bars` is what just closed. Never before its time."""

    async def balances(self) -> Mapping[str, Decimal]:
        """What the account holds of each asset, free and locked. One question, where `account` is many."""

    async def account(self, since: datetime) -> Account:
        """Balances, open orders and the executions from `since` on."""

    def unwell(self) -> str:
        """Why nothing should be asked of it for now; empty when it is well."""

    async def clock_offset(self) -> float:
        """Seconds that its clock is ahead of ours."""

    async def price(self, instrument: str, side: Side) -> Decimal:
        """What an order of that side would now trade at: the ask to buy, the bid to sell."""

    async def depth(self, instrument: str, side: Side, *, deep: bool = False) -> Depth | None:
        """What is offered to an order of that side; `deep` asks for more of it. None where no such thing is told."""


class Predictor(Protocol):
    """Who serves the models."""

    def versions(self) -> dict[str, str]:
        """Served model names and the hashes of what answers for them."""

    def predict(self, observation: Observation) -> tuple[Prediction, ...]:
        """One answer for each served model; late or failed is absent, with the reason."""


class StoredRecord(NamedTuple):
    """A record of the chain: its number, its link's hash (hex) and the record."""

    sequence: int
    hash: str
    record: Record


class Verification(NamedTuple):
    """What walking the chain showed. `first_break` is the first number that does not fit, None if all do."""

    records: int
    chain_ok: bool
    first_break: int | None
    reason: str
    head: str


class Journal(Protocol):
    """The append-only chain of records. One writer; many readers."""

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        """Make the records durable, in order, all or none. Only then return. StoreFailed if it cannot be done.

        A record whose id is there already with the same content is not written twice; with other content it
        is refused as Impossible.
        """

    def read(self, first: int = 1, last: int | None = None) -> Iterable[StoredRecord]:
        """The records numbered `first` to `last`, in order."""

    def get(self, record_id: str) -> StoredRecord | None:
        """The record of that id."""

    def find(
        self,
        *,
        kind: str = "",
        instrument: str = "",
        outcome: str = "",
        decision: str = "",
        client_id: str = "",
        trade: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> tuple[StoredRecord, ...]:
        """Records by column; empty text means any; `since` is included, `until` is not."""

    def count(self) -> int:
        """How many records there are."""

    def verify(self) -> Verification:
        """Walk the whole chain."""


class HaltRow(NamedTuple):
    """The halt that survives any restart. `version` grows with each change, by whomever."""

    state: TradingState
    since: datetime
    by: str
    reason: str
    version: int


class LockRow(NamedTuple):
    """Whether a part of the desk is locked. `version` grows with each change, by whomever."""

    name: str
    locked: bool
    since: datetime
    by: str
    reason: str
    version: int


class Lease(Protocol):
    """The right to be the one engine of a desk."""

    @property
    def token(self) -> int:
        """Grows with every holder; what is written under an older one is refused. 0 where nobody can take over."""

    def certain(self, for_s: float = 0.0) -> bool:
        """Whether nobody else can have taken it for so many seconds from now. Read immediately before every send.

        False does not say that somebody has: the store may only be out of reach.
        """


class Inbox(Protocol):
    """Commands from other processes for the engine that runs."""

    def waiting(self) -> tuple[Command, ...]:
        """What nobody has answered yet, oldest first."""

    def take(self, command: Command, at: datetime) -> bool:
        """Claim it before anything is done about it; False when it was taken back, and then nothing may be done."""

    def answer(self, command: Command, outcome: Outcome, at: datetime) -> None:
        """Say what came of it, after it has been carried out and recorded."""

    def close(self) -> None:
        """Let go of it."""


class StateStore(Protocol):
    """What must outlive the process beside the journal: the halt and the locks."""

    def halt(self) -> HaltRow:
        """The row as it stands now. Read immediately before every order."""

    def set_halt(
        self, state: TradingState, by: str, reason: str, at: datetime, after: int | None = None
    ) -> HaltRow:
        """Change the row, durably, from any process.

        `after` is the version that whoever resumes has seen: Refused when it is no longer the newest, for a kill
        that came in between must not be undone by somebody who did not know of it. A kill needs none.
        """

    def locks(self) -> tuple[LockRow, ...]:
        """What is or was locked, as it stands now. Read immediately before every order that adds risk."""

    def set_lock(
        self, name: str, locked: bool, by: str, reason: str, at: datetime, after: int | None = None
    ) -> LockRow:
        """Lock or unlock a part of the desk, durably, from any process.

        `after` is the version that whoever unlocks has seen, 0 where there was no row: Refused when it is no longer
        the newest, for a lock that came in between must not be lifted by somebody who did not know of it.
        """


class Desk(Protocol):
    """The one door for people: chats, console and jobs see the engine through this."""

    async def submit(self, command: Command) -> Outcome:
        """Carry out a command, once for each `key`."""

    def status(self) -> dict[str, Any]:
        """State, since, by, equity, positions, last cycle: plain values for display."""

    def positions(self) -> tuple[dict[str, Any], ...]:
        """Open positions with their stops, targets and profit so far."""

    def risk(self) -> dict[str, Any]:
        """Every limit with what is used of it, the locks, and what was tightened: plain values for display."""

    def listen(self, listener: Callable[[Recorded], None]) -> None:
        """Be told of every record once it is durable. Must return at once."""


class Letter(NamedTuple):
    """Something that came from a platform. `key` is the platform's own: what comes twice has the same one."""

    source: str
    key: str
    at: datetime
    body: bytes


class Parcel(NamedTuple):
    """Something on its way to a platform.

    `lane` 0 goes first. `group` names what is replaced or counted instead of being said again; empty for none. `due` is
    the earliest time of the next try, `sent_as` what the platform calls it once it is there.
    """

    number: int
    source: str
    place: str
    lane: int
    at: datetime
    group: str
    body: bytes
    tries: int
    due: datetime
    sent_as: str


class Post(NamedTuple):
    """What is to become a parcel."""

    source: str
    place: str
    lane: int
    at: datetime
    body: bytes
    group: str = ""


class Mail(Protocol):
    """Letters in and parcels out, of one desk. Everything is durable when it returns; StoreFailed if it cannot be."""

    def receive(self, letters: Sequence[Letter]) -> tuple[Letter, ...]:
        """Keep them, all or none; those that are new, in order."""

    def unanswered(self, source: str) -> tuple[Letter, ...]:
        """Letters that nobody has answered, oldest first."""

    def answered(self, source: str, key: str, posts: Sequence[Post]) -> None:
        """In one transaction: the letter does not come again, and its answer goes out."""

    def post(self, posts: Sequence[Post]) -> None:
        """Put parcels on their way, all or none."""

    def waiting(self, source: str) -> tuple[Parcel, ...]:
        """Parcels that are neither delivered nor dead, by lane and number."""

    def trying(self, numbers: Sequence[int]) -> None:
        """They are about to leave: one that leaves again after a crash can say that it may have been told before."""

    def delivered(self, numbers: Sequence[int], sent_as: str, at: datetime) -> None:
        """They are there, as one message of that name."""

    def delayed(self, numbers: Sequence[int], due: datetime, why: str, *, unknown: bool = False) -> None:
        """Tried in vain; to be tried again at `due`. `unknown` when they may have arrived all the same."""

    def dead(self, number: int, why: str, at: datetime) -> None:
        """Given up for good: the platform will never take it."""

    def last_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The newest delivered parcel of a group, to edit."""

    def first_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The oldest one that is remembered, to answer to."""

    def dead_letters(self) -> tuple[tuple[Parcel, str], ...]:
        """What was given up, and why, newest first."""


class Known(NamedTuple):
    """What was said in a chat of somebody's role, by whom and when. It is empty when it was taken away."""

    name: str
    role: str
    by: str
    at: datetime


class Linked(NamedTuple):
    """Whose account a number at a platform is, as it was said in a chat, by whom and when."""

    surface: str
    number: int
    name: str
    by: str
    at: datetime


class Asked(NamedTuple):
    """A question that is answered once. `answer` is empty until then; `key` is of the message that gave it."""

    nonce: str
    at: datetime
    expires: datetime
    body: bytes
    answer: str = ""
    by: str = ""
    answered: datetime | None = None
    key: str = ""


class Asks(Protocol):
    """Who may talk to a desk, as said in chats, and the questions that wait for an answer.

    Everything is durable when it returns; StoreFailed if it cannot be. Nothing is kept in mind: each call looks anew.
    """

    def known(self) -> tuple[Known, ...]:
        """Every name that a role was given to or taken from, by name."""

    def linked(self) -> tuple[Linked, ...]:
        """Every account that was given a name, by surface and number."""

    def set_role(self, known: Known) -> None:
        """From now on that is the role of that name."""

    def link(self, linked: Linked) -> None:
        """From now on the account is theirs."""

    def ask(self, asked: Asked) -> None:
        """Keep the question. StoreFailed when too many wait already."""

    def asked(self, nonce: str) -> Asked | None:
        """The question of that nonce, answered or not; None where there is none, or was long ago."""

    def waiting(self, at: datetime) -> tuple[Asked, ...]:
        """What nobody has answered and is not over at that time, oldest first."""

    def answer(self, nonce: str, answer: str, by: str, at: datetime, key: str) -> bool:
        """Answer it; False when somebody else was first, and then nothing has changed."""
