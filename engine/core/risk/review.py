"""Every check, every time, also after the first failure; and the only place that makes an approval."""

from engine.core.domain.records import Observation
from engine.core.domain.risk import Approved, Check, NearMiss, Review
from engine.core.risk.case import Case
from engine.core.risk.daily import daily_checks
from engine.core.risk.position import position_checks
from engine.core.risk.signal_tier import data_checks, signal_checks
from engine.core.risk.system import reducing_checks, system_checks


def review(case: Case) -> Review:
    """Approved, or refused by the first check that failed in the order asked."""
    if case.reduce_only:
        return _verdict(case, reducing_checks(case))
    return _verdict(
        case,
        (
            *data_checks(case.observation),
            *signal_checks(case),
            *position_checks(case),
            *daily_checks(case),
            *system_checks(case),
        ),
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


def _verdict(case: Case, checks: tuple[Check, ...]) -> Review:
    failed = _first_failed(checks)
    if failed:
        return Review(checks, None, failed)
    approved = Approved(
        case.decision, case.observation.instrument, case.side, case.quantity, case.reduce_only
    )
    return Review(checks, approved)


def _first_failed(checks: tuple[Check, ...]) -> str:
    return next((check.name for check in checks if not check.passed), "")
