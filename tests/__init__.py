"""The tests of the desk. `unit` mirrors the rooms; the other folders are named after what they prove."""
