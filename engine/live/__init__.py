"""The live shell: fetch, call the core, write down, act. In that order."""
