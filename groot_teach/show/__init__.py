"""Widgets that also work on a page without a kernel: `explore`, and the panels that it can show.

`controls`, `panels` and `explorer` make the widgets. `drawing` is what figures are drawn with; `sheets`, `plot` and
`pictures` are the forms that they are made of, and `pictures` holds the figures that more than one chapter shows.
"""

from groot_teach.show.explorer import ExploreError, Explorer, explore
from groot_teach.show.panels import Bars, HeatMap, KindMap, Lines, Number, Table

__all__ = ["Bars", "ExploreError", "Explorer", "HeatMap", "KindMap", "Lines", "Number", "Table", "explore"]
