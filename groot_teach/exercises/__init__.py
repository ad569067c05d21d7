"""Exercises of the chapters that have not moved to `groot_teach/chapters/TOPIC/exercises.py` yet."""
