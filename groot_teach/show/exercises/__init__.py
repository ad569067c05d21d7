"""Exercises that check themselves: how one is written, judged and shown.

`exercise` turns a reference function into an exercise, `grade` judges a reader's function, a `Card` shows what there is
to say, and `progress_file` remembers what is done. The exercises themselves are in `groot_teach.chapters`.
"""

from groot_teach.show.exercises.cards import Card
from groot_teach.show.exercises.exercise import Exercise, Mistake, exercise
from groot_teach.show.exercises.grade import Verdict, grade

__all__ = ["Card", "Exercise", "Mistake", "Verdict", "exercise", "grade"]
