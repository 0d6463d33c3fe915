"""The same strategy in other tools. Each runs in an environment of its own, where only that tool is installed."""
