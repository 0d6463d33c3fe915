"""Every check, every time, also after the first failure; and the only place that makes an approval."""

from engine.core.domain.records import Observation
from engine.core.domain.risk import Approved, Check, NearMiss, Review
from engine.core.risk.case import Case, Reduction
from engine.core.risk.daily import daily_checks
from engine.core.risk.patterns import pattern_checks
from engine.core.risk.position import position_checks
from engine.core.risk.signal_tier import data_checks, signal_checks, wish_checks
from engine.core.risk.system import reducing_checks, system_checks


def review(case: Case) -> Review:
    """An entry: approved, or refused by the first check that failed in the order asked."""
    checks = (
        *data_checks(case.observation),
        *signal_checks(case),
        *position_checks(case),
        *pattern_checks(case),
        *daily_checks(case),
        *system_checks(case),
    )
    return _reviewed(case, checks)


def _reviewed(case: Case, checks: tuple[Check, ...]) -> Review:
    failed = _first_failed(checks)
    if failed:
        return Review(checks, None, failed)
    instrument = case.observation.instrument
    return Review(checks, Approved(case.decision, instrument, case.side, case.quantity, reduce_only=False))


def review_wish(case: Case) -> Review:
    """An entry that a person asks for: every limit, and of the signal only what a person cannot know better."""
    checks = (
        *data_checks(case.observation),
        *wish_checks(case),
        *position_checks(case),
        *pattern_checks(case),
        *daily_checks(case),
        *system_checks(case),
    )
    return _reviewed(case, checks)


def review_reduction(wish: Reduction) -> Review:
    """An exit, by whomever: the few checks that closing must pass."""
    checks = reducing_checks(wish)
    failed = _first_failed(checks)
    if failed:
        return Review(checks, None, failed)
    return Review(
        checks, Approved(wish.decision, wish.instrument, wish.side, wish.quantity, reduce_only=True)
    )


def review_data(observation: Observation) -> Review:
    """The review of a bar of which nothing can be said yet: always a refusal, for it is not ready."""
    checks = data_checks(observation)
    return Review(checks, None, _first_failed(checks) or "warm-up")


def nearest_miss(checks: tuple[Check, ...]) -> NearMiss | None:
    """The failed check that was nearest to a yes, by its gap relative to the limit (or to one, for a limit of 0)."""
    nearest = None
    for check in checks:
        if not check.passed:
            relative = -check.headroom / (abs(check.limit) or 1.0)
            if nearest is None or relative < nearest.relative:
                nearest = NearMiss(check.name, -check.headroom, relative, check.unit)
    return nearest


def _first_failed(checks: tuple[Check, ...]) -> str:
    for check in checks:
        if not check.passed:
            return check.name
    return ""
