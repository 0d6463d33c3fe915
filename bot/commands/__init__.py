"""Every command, in the order that help lists them."""

from bot.command import Registry
from bot.commands import answer, chart, kill, report, risk, roles, status, trade, trades, why
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
        *answer.COMMANDS,
        *roles.COMMANDS,
        *help_.COMMANDS,
    )
)
