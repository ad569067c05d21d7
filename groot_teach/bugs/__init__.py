"""Each mask bug once: what goes wrong, who met it, the wrong part, its quiet symptom, the probe that sees it.

    bugs.counts_steps                           one record; its wrong part is a function of this name
    bugs.counts_steps.name                      "entries summed, steps counted"
    bugs.counts_steps.wrong                     the wrong function; it replaces the part "reduce" of `ToyPolicy`
    bugs.counts_steps.reduce(squared, mask)     a wrong loss, asked with an `action_mask` in place of a batch
    bugs.counts_steps.policy()                  the toy policy with this bug
    bugs.counts_steps.message, .source          what an exercise says to somebody who makes this mistake
    CATALOGUE                                   all of them, by the name of their function

What a wrong part takes and gives depends on the part that it replaces:

    reduce          `(squared_error, batch)`   one number. Module: `losses`
    self_mask       `(batch)`                  a mask of which steps a step may read, or None. Module: `attention`
    cross_mask      `(batch)`                  a mask of which tokens a step may read, or None. Module: `attention`
    input_mask      `(batch)`                  which entries of the actions reach the encoder. Module: `data`
    prompt          `(batch)`                  the tokens that are read, and their mask. Module: `data`
    sample          `(policy, batch)`          actions. Module: `sampling`

A batch holds `dim_mask`, `step_mask` and `token_mask`, where True = real, and `action_is_pad`, where True = padding;
`policy.toy_batch` makes one. An attention mask of the toy policy has four axes, batch, heads, queries and
keys, because its layers have several heads.

An exercise takes `name`, `message` and `source` from the record. Where its function has the shape of the wrong part, or
of `Bug.reduce`, that is the wrong answer too; elsewhere the exercise writes its own. A new bug is a function with the
decorator `record.bug`, and one line here. The museum of chapter 9 (`exhibits`) and the losses of chapter 3
(`WRONG_LOSSES`) are choices from this catalogue.
"""

from groot_teach.bugs.attention import (
    commented_out,
    everybody_reads,
    finite_fill,
    is_pad_for_real,
    only_the_first,
    upside_down,
    whose_mask,
    wrong_axis,
    zeros_and_ones,
)
from groot_teach.bugs.checks import CHECKS, TAPS, audit, audited_checks, train_a_little, unmoved_by_flips
from groot_teach.bugs.data import everything_enters, first_n, first_prompt
from groot_teach.bugs.exhibits import EXHIBITS, NO_BUG, Exhibit, checks_on, report_on
from groot_teach.bugs.losses import (
    WRONG_LOSSES,
    copies_count,
    count_plus_epsilon,
    counted_in_bfloat16,
    counts_steps,
    masked_after_the_square,
    mean_of_everything,
    no_mask,
    or_for_and,
    removes_nothing,
    steps_masked_dims_not,
    thrown_away,
    wrong_key,
)
from groot_teach.bugs.policy import BATCHES, PARTS, ToyPolicy, toy_batch
from groot_teach.bugs.record import CATALOGUE, Bug, batch_of
from groot_teach.bugs.sampling import training_only

__all__ = [
    "BATCHES",
    "CATALOGUE",
    "CHECKS",
    "EXHIBITS",
    "NO_BUG",
    "PARTS",
    "TAPS",
    "WRONG_LOSSES",
    "Bug",
    "Exhibit",
    "ToyPolicy",
    "audit",
    "audited_checks",
    "batch_of",
    "checks_on",
    "commented_out",
    "copies_count",
    "count_plus_epsilon",
    "counted_in_bfloat16",
    "counts_steps",
    "everybody_reads",
    "everything_enters",
    "finite_fill",
    "first_n",
    "first_prompt",
    "is_pad_for_real",
    "masked_after_the_square",
    "mean_of_everything",
    "no_mask",
    "only_the_first",
    "or_for_and",
    "removes_nothing",
    "report_on",
    "steps_masked_dims_not",
    "thrown_away",
    "toy_batch",
    "train_a_little",
    "training_only",
    "unmoved_by_flips",
    "upside_down",
    "whose_mask",
    "wrong_axis",
    "wrong_key",
    "zeros_and_ones",
]
