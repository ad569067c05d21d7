"""A small torch library about masks in GR00T-style robot policies: the code behind *Where the Padding Goes*.

Read the modules in this order: `embodiments`, `padding`, `data`, `masks`, `lerobot`, `flow`, `loss`, `attention`; `dit`
and `action_head`, with `upstream`, `trace` and `probes`; `reaching`, `train`, `exam`, `ablation`, `experiments`; then
those that show: `figures`, `widgets`, `exercises`. `bugs` is a catalogue of mistakes, to look at.
"""

__version__ = "0.1.0"
