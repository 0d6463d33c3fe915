"""Every command, in the order that help lists them."""

from bot.command import Registry
from bot.commands import help as help_
from bot.commands import kill, report, risk, status, trade, trades, why

REGISTRY = Registry(
    (
        *status.COMMANDS,
        *trades.COMMANDS,
        *why.COMMANDS,
        *report.COMMANDS,
        *risk.COMMANDS,
        *kill.COMMANDS,
        *trade.COMMANDS,
        *help_.COMMANDS,
    )
)
