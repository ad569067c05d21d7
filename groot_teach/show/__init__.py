"""Widgets that also work on a page without a kernel: `explore` and its panels; and tables.

`controls`, `panels` and `explorer` make the widgets, and `tables` makes tables. `drawing` is what figures are drawn
with; `sheets`, `plot` and `pictures` are the forms that they are made of, and `pictures` holds the figures that more
than one chapter shows.
"""

from groot_teach.show.explorer import ExploreError, Explorer, explore
from groot_teach.show.panels import Bars, HeatMap, KindMap, Lines, Number
from groot_teach.show.tables import Column, Table

__all__ = ["Bars", "Column", "ExploreError", "Explorer", "HeatMap", "KindMap", "Lines", "Number", "Table", "explore"]
