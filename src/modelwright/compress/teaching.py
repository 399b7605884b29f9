"""What a smaller network learns from the uncompressed one, as the objective of a training loop.

    inputs ─┬▶ teacher ─▶ logits, hidden states, relations ─┐
            └▶ student ─▶ logits, hidden states, relations ─┴▶ loss

The answers are softened by a temperature (Hinton, Vinyals and Dean 2015, arXiv 1503.02531), the
hidden state after each kept layer comes close to the teacher's after the same layer (TinyBERT, Jiao
et al. 2020, arXiv 1909.10351), and the relations of value vectors in the last layer are those of
the teacher's last layer (MiniLM, Wang et al. 2020, arXiv 2002.10957). Some rows are varied as they
come: some of their pieces are replaced by others of the batch, and some end as another row does, so
that the student also learns what the teacher says beside the training rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional as F

from modelwright import plugs
from modelwright.models.families import Block
from modelwright.models.network import Network
from modelwright.tasks import LossSettings, Task

IGNORED = -100
"""Target of a row, or of a token, that has none."""


@dataclass(frozen=True)
class Weights:
    """How much each part of the loss counts.

    Attributes:
        temperature: divides logits before they are compared.
        labels: weight of the true labels' loss; the teacher's answers weigh 1.
        hidden: weight of the hidden states' squared distance.
        relation: weight of the last layer's value relations.
        mixed: share of text rows that end as another row does.
        varied: share of text rows that are varied.
        replaced: share of a varied row's pieces that are replaced.
    """

    temperature: float = 2.0
    labels: float = 0.5
    hidden: float = 1.0
    relation: float = 1.0
    mixed: float = 0.5
    varied: float = 0.5
    replaced: float = 0.15


@dataclass
class Lesson:
    """The objective; called by the training loop with the student's network.

    Attributes:
        teacher: the uncompressed network, in evaluation mode.
        task: of both.
        layers: the teacher's layer that each of the student's layers follows.
        weights: see `Weights`.
        loss: label smoothing and class weights of the labels' loss.
        special: ids that are neither replaced nor put in.
    """

    teacher: Network
    task: Task
    layers: tuple[int, ...]
    weights: Weights = field(default_factory=Weights)
    loss: LossSettings = field(default_factory=LossSettings)
    special: tuple[int, ...] = ()

    def __call__(
        self, network: Any, inputs: dict[str, torch.Tensor], targets: torch.Tensor
    ) -> torch.Tensor:
        """Mean loss of a batch."""
        inputs, whole = self._mixed(inputs)
        inputs, labelled = self._varied(inputs)
        labelled = labelled & whole
        weights = self.weights
        self.teacher.to(targets.device)
        heads = self._shared_heads(network)
        with torch.no_grad(), self._relations(self.teacher, heads) as theirs:
            answers, states = self.teacher.states(**inputs)
        with self._relations(network, heads) as ours:
            logits, own = network.states(**inputs)
        mask = inputs.get("attention_mask")
        loss = self.soft(logits.float(), answers.float(), mask)
        loss = loss + weights.labels * self._hard(logits.float(), targets, labelled)
        if weights.hidden:
            loss = loss + weights.hidden * _hidden_distance(own, states, self.layers, mask)
        if weights.relation and ours and theirs:
            loss = loss + weights.relation * _relation_distance(ours[-1], theirs[-1], mask)
        return loss

    def soft(
        self, logits: torch.Tensor, answers: torch.Tensor, mask_BT: torch.Tensor | None
    ) -> torch.Tensor:
        """Distance of the answers: [B, C], or [B, T, C] over the tokens of the mask."""
        if self.task.head == "token" and mask_BT is not None:
            kept = mask_BT.bool()
            logits, answers = logits[kept], answers[kept]
        if not self.task.spec.labels:
            return F.mse_loss(logits, answers)
        heat = self.weights.temperature
        if self.task.spec.multi_label:
            wanted = torch.sigmoid(answers)
            return F.binary_cross_entropy_with_logits(logits, wanted) * self.task.outputs
        wanted = F.log_softmax(answers / heat, dim=-1)
        given = F.log_softmax(logits / heat, dim=-1)
        return F.kl_div(given, wanted, reduction="batchmean", log_target=True) * heat**2

    def _hard(
        self, logits: torch.Tensor, targets: torch.Tensor, labelled_B: torch.Tensor
    ) -> torch.Tensor:
        """The labels' loss over rows that have labels and were not varied."""
        if self.task.head == "token":
            targets = torch.where(labelled_B[:, None], targets, IGNORED)
            known = bool((targets != IGNORED).any())
            return self.task.loss(logits, targets, self.loss) if known else logits.sum() * 0
        rows = labelled_B & _has_target(targets)
        if not bool(rows.any()):
            return logits.sum() * 0
        return self.task.loss(logits[rows], targets[rows], self.loss)

    def _mixed(
        self, inputs: dict[str, torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Inputs in which some rows end as another row of the batch, and which rows are whole.

        Rows of a batch are about as long as each other. What a teacher says to its own training
        rows, it may have learnt by heart; to these it says what it makes of the language.
        """
        mask = inputs.get("attention_mask")
        rows = len(next(iter(inputs.values())))
        whole = torch.ones(rows, dtype=torch.bool, device=self._device(inputs))
        if mask is None or not self.weights.mixed or rows < 2:
            return inputs, whole
        lengths = mask.sum(dim=1)
        other = torch.roll(torch.arange(rows, device=mask.device), 1)
        shorter = torch.minimum(lengths, lengths[other])
        cut = 1 + (torch.rand(rows, device=mask.device) * (shorter - 1)).long()
        chosen = torch.rand(rows, device=mask.device) < self.weights.mixed
        place = torch.arange(mask.shape[1], device=mask.device)
        ends = chosen[:, None] & (place >= cut[:, None])
        found = {
            name: torch.where(ends, value[other], value) if value.shape == mask.shape else value
            for name, value in inputs.items()
        }
        return found, ~chosen

    def _varied(
        self, inputs: dict[str, torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Inputs with some rows varied, and which rows were left as they are."""
        ids = inputs.get("input_ids")
        rows = len(next(iter(inputs.values())))
        if ids is None or not self.weights.varied:
            return inputs, torch.ones(rows, dtype=torch.bool, device=self._device(inputs))
        special = torch.tensor(self.special, dtype=ids.dtype, device=ids.device)
        free = inputs["attention_mask"].bool() & ~torch.isin(ids, special)
        chosen = torch.rand(len(ids), device=ids.device) < self.weights.varied
        spots = (torch.rand(ids.shape, device=ids.device) < self.weights.replaced) & free
        spots &= chosen[:, None]
        pool = ids[free]
        if not len(pool):
            return inputs, torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        drawn = pool[torch.randint(len(pool), ids.shape, device=ids.device)]
        return {**inputs, "input_ids": torch.where(spots, drawn, ids)}, ~spots.any(dim=1)

    @staticmethod
    def _device(inputs: dict[str, torch.Tensor]) -> torch.device:
        return next(iter(inputs.values())).device

    def _shared_heads(self, network: Network) -> int:
        """Groups into which the last layers' values of both divide; 0 to leave relations out."""
        last = [self._last(each) for each in (network, self.teacher)]
        if not self.weights.relation or None in last:
            return 0
        return math.gcd(*(block.heads for block in last if block is not None))

    @staticmethod
    def _last(network: Network) -> Block | None:
        """The last layer's parts, where the family tells them."""
        kind = str(network.backbone.config.model_type)  # type: ignore[union-attr]
        if not plugs.exists("family", kind):
            return None
        blocks: list[Block] = plugs.load("family", kind).cls.blocks(network.backbone)
        return blocks[-1] if blocks else None

    @contextmanager
    def _relations(self, network: Network, heads: int) -> Iterator[list[torch.Tensor]]:
        """The value relations of the last layer [B, R, T, T] in the list, after a forward pass."""
        found: list[torch.Tensor] = []
        block = self._last(network)
        if not heads or block is None:
            yield found
            return
        hook = block.value.register_forward_hook(
            lambda _module, _inputs, output: found.append(_relation(output, heads))
        )
        try:
            yield found
        finally:
            hook.remove()


def _has_target(targets: torch.Tensor) -> torch.Tensor:
    """Which rows [B] have a target: not IGNORED, and a number."""
    if targets.is_floating_point():
        return ~torch.isnan(targets.reshape(len(targets), -1)).any(dim=1)
    return targets != IGNORED


def _hidden_distance(
    own: tuple[torch.Tensor, ...],
    states: tuple[torch.Tensor, ...],
    layers: tuple[int, ...],
    mask_BT: torch.Tensor | None,
) -> torch.Tensor:
    """Mean squared distance of the states after corresponding layers, over the mask's tokens."""
    total = own[0].new_zeros(())
    for number, layer in enumerate(layers):
        ours, theirs = own[number + 1], states[layer + 1]
        gap = (ours.float() - theirs.float()).square().mean(dim=-1)
        if mask_BT is not None and gap.ndim == 2:
            weights = mask_BT.to(gap.dtype)
            total = total + (gap * weights).sum() / weights.sum()
        else:
            total = total + gap.mean()
    return total / max(1, len(layers))


def _relation(values_BTD: torch.Tensor, heads: int) -> torch.Tensor:
    rows, tokens, width = values_BTD.shape
    split = values_BTD.reshape(rows, tokens, heads, width // heads).transpose(1, 2).float()
    return split @ split.transpose(2, 3) / math.sqrt(width // heads)


def _relation_distance(
    ours: torch.Tensor, theirs: torch.Tensor, mask_BT: torch.Tensor | None
) -> torch.Tensor:
    """Divergence of the relations' distributions over tokens of the mask."""
    if mask_BT is not None:
        hidden = ~mask_BT[:, None, None, :].bool()
        ours, theirs = ours.masked_fill(hidden, -1e4), theirs.masked_fill(hidden, -1e4)
    wanted, given = F.log_softmax(theirs, dim=-1), F.log_softmax(ours, dim=-1)
    gap_BRT = (wanted.exp() * (wanted - given)).sum(dim=-1)
    if mask_BT is None:
        return gap_BRT.mean()
    weights = mask_BT[:, None, :].to(gap_BRT.dtype)
    return (gap_BRT * weights).sum() / (weights.sum() * gap_BRT.shape[1])
