"""Widgets that answer on a static page: `explore`, and the panels that it can show."""

from groot_teach.show.explorer import ExploreError, Explorer, explore
from groot_teach.show.panels import Bars, HeatMap, KindMap, Lines, Number, Table

__all__ = ["Bars", "ExploreError", "Explorer", "HeatMap", "KindMap", "Lines", "Number", "Table", "explore"]
