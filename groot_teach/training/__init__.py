"""Training tiny heads with one mask dropped, and measuring what breaks.

`task` invents the batches and `recorded` takes them from a recording; `train` trains a head, `evaluate` measures it,
`ablation` compares heads, and `run` is the command that makes the stored records in `results/`.
"""
