"""Wrong attention masks: each takes the batch. None = no mask; bool, True = may be read; a float mask is added."""

import torch

from groot_teach.bugs.policy import HEADS, key_mask
from groot_teach.bugs.record import bug


@bug(
    "cross_mask",
    "the mask is upside down",
    story="True means padding where the layer takes it for real.",
    symptom="none, in more than three years between the report and its repair",
    threads=("halonet_issue_4", "halonet_pr_6"),
    source="a mask read upside down, https://github.com/lucidrains/halonet-pytorch/issues/4 and "
    "https://github.com/harvardnlp/annotated-transformer/issues/19",
    seen_by=("perturb", "compact", "gradient", "sampler"),
    message="Your mask is upside down: it keeps the padding and hides what is real. In this book every `*_mask` is "
    "True where something is real, and PyTorch's `key_padding_mask` and LeRobot's `action_is_pad` say the opposite.",
)
def upside_down(batch):
    return ~key_mask(batch["token_mask"])


@bug(
    "cross_mask",
    "everything may be read",
    story="The mask is passed to a block that does not pass it on to its attention.",
    symptom="none that mattered, or nearly all of the score: two projects, two answers",
    threads=("gr00t_issue_417", "starvla_issue_184", "mistral_inference_pr_218"),
    source="GR00T N1.5's blocks get None, https://github.com/NVIDIA/Isaac-GR00T/issues/417",
    seen_by=("perturb", "compact", "gradient", "sampler"),
    message="Padding may be read as if it were real: you hide nothing. A mask of ones, or None in place of a mask, has "
    "no effect.",
)
def commented_out(batch):
    return None  # key_mask(batch["token_mask"])


@bug(
    "cross_mask",
    "a mask of ones and zeros is added",
    story="A mask of 0 and 1 in floats is added to the scores: real tokens get 1 more, and padding stays.",
    symptom="images are bad for short prompts; for a long one the difference is small",
    threads=("diffusers_issue_12116", "diffusers_issue_11724", "diffusers_pr_12263", "diffusers_issue_13619"),
    source="Chroma in diffusers, https://github.com/huggingface/diffusers/issues/12116",
    seen_by=("perturb", "compact", "gradient", "sampler"),
    message="You made the mask a float of ones and zeros, and PyTorch's attention *adds* a float mask to the scores: "
    "real tokens gain 1, and padding is read all the same. Use a bool mask, or add 0 and minus infinity.",
)
def zeros_and_ones(batch):
    return key_mask(batch["token_mask"]).double()


@bug(
    "self_mask",
    "rows are hidden, not columns",
    story="The mask hides padded queries and not padded keys, and its finite fill keeps that from giving NaN.",
    symptom="none: it worked, and passed smoke tests",
    threads=("hyunwoongko_pr_40", "seq2seq_issue_96"),
    source="a reader's correction of the Annotated Transformer, "
    "https://github.com/harvardnlp/annotated-transformer/issues/137; the same in the target's mask of "
    "https://github.com/hyunwoongko/transformer/pull/40",
    seen_by=("perturb", "compact", "sampler"),
    message="You hid the rows of what is padded, so real ones go on reading padding. A row looks and a column is "
    "looked at: what must not be read is hidden along the last axis, `[:, None, :]`.",
)
def wrong_axis(batch):
    real = batch["step_mask"][:, None, :, None]
    hidden = torch.zeros_like(real, dtype=torch.float64)
    return hidden.masked_fill(~real, -1e4)


@bug(
    "cross_mask",
    "another sample's mask",
    story="Masks are tiled where the heads of one sample lie side by side, so heads get another sample's mask.",
    symptom="a sample's output depends on the others in its batch",
    threads=("lighthouse_pr_77", "clip4clip_issue_22"),
    source="https://github.com/line/lighthouse/pull/77",
    seen_by=("perturb", "compact", "gradient", "sampler"),
    message="You repeated the masks in the wrong order, so some heads read by the mask of another sample. The heads of "
    "one sample lie side by side: `repeat_interleave` gives 0 0 1 1, and `repeat` gives 0 1 0 1.",
)
def whose_mask(batch):
    robots, key_len = batch["token_mask"].shape
    for_heads = batch["token_mask"].repeat(HEADS, 1)
    return for_heads.view(robots, HEADS, 1, key_len)


@bug(
    "cross_mask",
    "nothing became everything",
    story="A finite number stands in for minus infinity, so a prompt without a token reads the mean of its padding.",
    symptom="none in d2l; in TransformerLens the answers differed from those of another library",
    threads=("d2l_pr_2423", "transformerlens_issue_318", "pytorch_issue_103963"),
    source="d2l fills with -1e6, https://github.com/d2l-ai/d2l-en/pull/2423; the Annotated Transformer with -1e9",
    batch="empty prompt",
    seen_by=("perturb", "gradient", "sampler"),
    message="A query that may read nothing reads everything: with a large negative number in place of minus infinity "
    "all its scores are equal, and the answer is the mean of all values, hidden ones included.",
)
def finite_fill(batch):
    real = key_mask(batch["token_mask"])
    hidden = torch.zeros_like(real, dtype=torch.float64)
    return hidden.masked_fill(~real, -1e6)


@bug(
    "self_mask",
    "padded steps are read",
    story="Steps read each other without a mask, copies of the last step included.",
    symptom="none on a robot; the thread compares a padded batch with an unpadded one",
    threads=("gr00t_issue_742", "gr00t_pr_741"),
    source="GR00T N1.5, N1.6 and N1.7, https://github.com/NVIDIA/Isaac-GR00T/issues/742",
    seen_by=("perturb", "compact", "sampler"),
    message="You let everything be read, padded steps included. A masked loss does not make up for that: real steps "
    "have read the padding by then, so hide the padded columns.",
)
def everybody_reads(batch):
    return None


@bug(
    "self_mask",
    "action_is_pad taken for a step mask",
    story="LeRobot's `action_is_pad`, where True = padding, is used as a mask of what is real.",
    symptom="real steps read copies of the last one, and do not read each other",
    source="two polarities in one code base: huggingface/lerobot at 7427f318, dataset_reader.py 247-256, says True = "
    "padding",
    seen_by=("perturb", "compact", "sampler"),
    message="You used `action_is_pad` as if True meant real, and there True means padding. Negate it with `~` where it "
    "enters your code.",
)
def is_pad_for_real(batch):
    return key_mask(batch["action_is_pad"])


@bug(
    "cross_mask",
    "a causal mask where it has no business",
    story="A mask for another attention is laid over this one, so each step may read the first tokens only.",
    symptom="none that could be told from other faults of the same example",
    threads=("kerasio_pr_1046", "kerasio_pr_1997"),
    source="an example of keras-io, https://github.com/keras-team/keras-io/pull/1046",
    seen_by=("gradient",),
    message="You hid too much: what is real and comes later is not read. Which tokens are real is all that this mask "
    "should ask; an order of steps says nothing about them.",
)
def only_the_first(batch):
    step = torch.arange(batch["step_mask"].shape[1])[:, None]
    token = torch.arange(batch["token_mask"].shape[1])
    return key_mask(batch["token_mask"]) & (token <= step)
