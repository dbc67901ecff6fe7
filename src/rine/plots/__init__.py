"""Figures of the study. Each function takes a tidy table and gives a matplotlib figure; `style.save` writes it."""
