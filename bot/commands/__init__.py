"""Every command, in the order that help lists them."""

from bot.command import Registry
from bot.commands import chart, kill, report, risk, status, trade, trades, why
from bot.commands import help as help_

REGISTRY = Registry(
    (
        *status.COMMANDS,
        *trades.COMMANDS,
        *chart.COMMANDS,
        *why.COMMANDS,
        *report.COMMANDS,
        *risk.COMMANDS,
        *kill.COMMANDS,
        *trade.COMMANDS,
        *help_.COMMANDS,
    )
)
