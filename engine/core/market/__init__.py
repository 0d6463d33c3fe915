"""Bars before anything is said about them: their quality, coarser timeframes, and the window that slides along."""
