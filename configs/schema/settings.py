"""The whole of what may be set, frozen, with a hash that every record names."""

import hashlib

import msgspec

from configs.schema.chat import ChatSettings
from configs.schema.data import DataQualitySettings
from configs.schema.decision import AlphaSettings, DecisionSettings, EnsembleSettings, SizingSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.models import ModelSettings
from configs.schema.monitoring import MonitoringSettings
from configs.schema.regime import RegimeSettings
from configs.schema.risk import RiskSettings
from configs.schema.store import StoreSettings
from configs.schema.venue import VenueSettings


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One section a room. Anything that is not named here cannot be set."""

    desk: DeskSettings = DeskSettings()
    data: DataQualitySettings = DataQualitySettings()
    regime: RegimeSettings = RegimeSettings()
    alpha: AlphaSettings = AlphaSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    decision: DecisionSettings = DecisionSettings()
    sizing: SizingSettings = SizingSettings()
    risk: RiskSettings = RiskSettings()
    execution: ExecutionSettings = ExecutionSettings()
    models: ModelSettings = ModelSettings()
    store: StoreSettings = StoreSettings()
    venue: VenueSettings = VenueSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    chat: ChatSettings = ChatSettings()

    def __post_init__(self) -> None:
        if self.venue.kind == "binance":
            _refuse_what_spot_cannot(self.desk, self.decision)
            _refuse_too_much_of_one(self.risk)
        unknown = sorted(set(self.risk.restricted) - {each.name for each in self.desk.instruments})
        if unknown:
            raise ValueError(f"risk.restricted: {', '.join(unknown)} is not in desk.instruments")
        if self.risk.grids:
            _refuse_grids_elsewhere(self.desk, self.risk)

    def instrument(self, name: str) -> Instrument:
        """Return the rules of `name`; KeyError when the desk does not trade it."""
        for instrument in self.desk.instruments:
            if instrument.name == name:
                return instrument
        raise KeyError(name)


def _refuse_what_spot_cannot(desk: DeskSettings, decision: DecisionSettings) -> None:
    if not decision.long_only:
        raise ValueError(
            "venue.kind binance is a spot account, which cannot sell what it does not hold: set decision.long_only"
        )
    for instrument in desk.instruments:
        base, slash, quote = instrument.name.partition("/")
        if not (slash and base and quote == desk.currency):
            raise ValueError(
                f"venue.kind binance trades names such as BTC/{desk.currency} (desk.currency is {desk.currency}), "
                f"was {instrument.name}"
            )


def _refuse_grids_elsewhere(desk: DeskSettings, risk: RiskSettings) -> None:
    """Of what the desk does not trade, or may not open, or at a stop that no venue takes."""
    known = {instrument.name: instrument for instrument in desk.instruments}
    for grid in risk.grids:
        instrument = known.get(grid.instrument)
        if instrument is None:
            raise ValueError(f"risk.grids: {grid.instrument} is not in desk.instruments")
        if grid.instrument in risk.restricted:
            raise ValueError(f"risk.grids: {grid.instrument} is in risk.restricted, where nothing is opened")
        if grid.stop % instrument.tick:
            raise ValueError(
                f"risk.grids: {grid.instrument}: stop must be a multiple of its tick ({instrument.tick}),"
                f" was {grid.stop}"
            )


def unusable_grid(settings: Settings) -> str:
    """Why a grid's `max_risk` contradicts the other limits; empty when none does.

    Asked when a profile is read, not when settings are made: a limit that somebody tightens while the desk runs may
    come below it, and then simply holds first.
    """
    for grid in settings.risk.grids:
        instrument = settings.instrument(grid.instrument)
        most, key = settings.risk.grid_limit(grid, instrument.kind, grouped=bool(instrument.group))
        if grid.max_risk > most * (1 + ROUNDING):
            return (
                f"risk.grids: {grid.instrument}: max_risk can be at most {most:.6g} with {grid.levels} levels and"
                f" {key}, was {grid.max_risk:g}"
            )
    return ""


ROUNDING = 1e-9
"""A product of two shares may lie so far beside what it is written as, relatively."""

CEILINGS = {"max_crypto_position": 0.2, "max_stock_position": 0.25, "max_fx_position": 0.25}
"""Of one position where real money trades: a profile may be more careful, not less."""


def _refuse_too_much_of_one(risk: RiskSettings) -> None:
    for name, most in CEILINGS.items():
        if getattr(risk, name) > most:
            raise ValueError(f"risk.{name} may be at most {most} at a real venue, was {getattr(risk, name)}")


def settings_hash(settings: Settings) -> str:
    """Return 16 hex digits that change with any value that can change a decision.

    Where records are kept (`store`), where orders go (`venue`) and how the desk is watched and talked to (`monitoring`,
    `chat`) cannot change a decision: they are left out, and the store's URL may hold a password.
    """
    kept = msgspec.structs.asdict(msgspec.structs.replace(settings, store=StoreSettings()))
    del kept["venue"], kept["monitoring"], kept["chat"]
    return hashlib.sha256(msgspec.json.encode(kept)).hexdigest()[:16]
