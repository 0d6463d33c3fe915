"""The desk in a world made of one seed: its production code, and around it an exchange, a disk, a clock and people.

Nothing here runs in threads or takes real time. A seed draws which faults there are and how often, when the process
dies, and what people ask for; what it found can be seen again with `python -m tests.simulation SEED`.
"""
