"""Contrastive training: first the projections on frozen features, then the network's tail as well.

The loss is symmetric InfoNCE. Texts that also describe a picture are not its negatives: those of
another view of the same thing, unless they name another colour, and any text that is one of its
own. With the tail, garments are also classified by class, and by colour and class.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mm_milvus.encoders.torch.efficientnet import TRUNK

from .colours import COLOURS
from .features import Features
from .joint import Joint
from .phrases import in_a_template, misspelt, plural
from .views import CLOTHES

TEMPERATURE = 0.06
WEIGHT_DECAY = 0.05
MORE_NAMES = 512
"""Number of names of other things that join a batch, as texts that match none of its pictures."""

PROJECTION_STEPS, PROJECTION_SCALE, PROJECTION_RATE = 1500, 2, 1e-3
TAIL_STEPS, TAIL_SCALE, TAIL_RATE = 400, 1, 4e-4
CLASSIFYING = 1.0
"""Weight of the classification of garments by class, and by colour and class."""

KEEPING = 0.1
"""Weight of staying close to the published features, which know a thousand classes."""

AVERAGING = 0.98
"""Decay of the moving average of the weights over the steps of the tail; the average is kept."""

Kind = tuple[str | None, str]
"""A colour (None: any) and a class of garments."""


@dataclass(frozen=True)
class Domain:
    """Features of one kind; each batch takes `share` of them, times the scale of the batch."""

    features: Features
    share: int


@dataclass(frozen=True)
class Batch:
    """The input of one step.

    Attributes:
        images: Features of m pictures, (m, 1280).
        owners: The origin of each picture: the features of its domain, and its index there.
        drift: How far fine-tuning has moved the features, relative to their variance.
        phrases: n texts: one per picture, then those of other things.
        masked: (m, n), where a phrase also fits a picture that it was not drawn for.
    """

    images: Tensor
    owners: list[tuple[Features, int]]
    drift: Tensor
    phrases: list[str]
    masked: Tensor


@dataclass(frozen=True)
class Phrase:
    """A text of a thing, and the colour that it names."""

    thing: str
    text: str
    colour: str | None

    def typed(self, rng: random.Random) -> str:
        """Return the phrase as a user might type it."""
        text = f"{self.colour} {self.text}" if self.colour else self.text
        if rng.random() < 0.1:
            text = plural(text)
        if rng.random() < 0.2:
            text = misspelt(text, rng)
        return in_a_template(text, rng) if rng.random() < 0.35 else text


def class_features(
    weights: dict[str, Tensor], real_features: np.ndarray, names: list[list[str]]
) -> Features:
    """Return features of each ImageNet class, made from its row of the classifier.

    The row of a linear classifier is the direction in which the features of its class stand out.
    Added to the mean of real features, at their mean distance from it, it represents a picture of
    the class.
    """
    rows = weights["_fc.weight"].numpy()
    rows = rows - rows.mean(0)
    mean = real_features.mean(0)
    radius = np.linalg.norm(real_features - mean, axis=1).mean()
    vectors = mean + radius * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    things = [f"imagenet {number}" for number in range(len(rows))]
    pooled = np.maximum(vectors, 0).astype(np.float32)
    return Features(None, pooled, things, names, [None] * len(rows))


def train_projections(joint: Joint, domains: list[Domain], seed: int) -> None:
    """Fit the projections to the published network's features."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    parameters = [p for name, p in joint.named_parameters() if not name.startswith("network.")]
    joint.centre(torch.from_numpy(np.concatenate([d.features.pooled for d in domains[:2]])))
    optimiser = torch.optim.AdamW(parameters, PROJECTION_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PROJECTION_RATE, total_steps=PROJECTION_STEPS
    )
    joint.train()
    for step in range(PROJECTION_STEPS):
        batch = draw(joint, domains, PROJECTION_SCALE, rng, tuned=False)
        loss = contrast(joint, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            print(f"projections, step {step} of {PROJECTION_STEPS}: {loss.item():.3f}", flush=True)
    joint.eval()


def train_tail(joint: Joint, domains: list[Domain], seed: int) -> Joint:
    """Fit the last stages of the image network together with the projections."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    trunk = {id(p) for p in joint.network.stem.parameters()}
    trunk |= {id(p) for p in joint.network.blocks[:TRUNK].parameters()}
    parameters = [p for p in joint.parameters() if id(p) not in trunk]
    optimiser = torch.optim.AdamW(parameters, TAIL_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, TAIL_RATE, total_steps=TAIL_STEPS)
    average = copy.deepcopy(joint).eval()
    joint.train()
    for step in range(TAIL_STEPS):
        batch = draw(joint, domains, TAIL_SCALE, rng, tuned=True)
        loss = contrast(joint, batch)
        total = loss + CLASSIFYING * classification(joint, batch, rng) + KEEPING * batch.drift
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        schedule.step()
        follow(average, joint, min(AVERAGING, step / (step + 10)))
        if step % 50 == 0:
            drift = batch.drift.item()
            print(f"tail, step {step} of {TAIL_STEPS}: {loss.item():.3f}, {drift:.3f}", flush=True)
    return average


@torch.no_grad()
def follow(average: Joint, joint: Joint, share: float) -> None:
    """Move the average towards the weights of this step."""
    for kept, new in zip(average.parameters(), joint.parameters(), strict=True):
        kept.lerp_(new, 1 - share)


def draw(
    joint: Joint, domains: list[Domain], scale: int, rng: random.Random, *, tuned: bool
) -> Batch:
    """Draw a batch of random pictures of every domain, with phrases."""
    images, drifts, phrases, owners = [], [], [], []
    for domain in domains:
        source = domain.features
        chosen = torch.randint(len(source.things), (domain.share * scale,)).numpy()
        features = torch.from_numpy(source.pooled[chosen])
        if tuned and source.maps is not None:
            published = features
            maps = torch.from_numpy(source.maps[chosen]).float()
            features = joint.network.tail(maps)
            drifts.append((features - published).square().mean() / published.var())
        images.append(features)
        owners += [(source, n) for n in chosen]
        phrases += [_phrase(source, n, rng) for n in chosen]
    for _ in range(MORE_NAMES):
        source = rng.choice(domains).features
        n = rng.randrange(len(source.things))
        phrases.append(Phrase(source.things[n], source.texts[n][0], None))
    masked = _also_matching(owners, phrases)
    drift = torch.stack(drifts).mean() if drifts else torch.zeros(())
    return Batch(torch.cat(images), owners, drift, [p.typed(rng) for p in phrases], masked)


def contrast(joint: Joint, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of both directions."""
    logits = joint.images(batch.images) @ joint.texts(batch.phrases).T / TEMPERATURE
    logits = logits.masked_fill(batch.masked, -torch.inf)
    count = len(logits)
    target = torch.arange(count)
    return (cross_entropy(logits, target) + cross_entropy(logits[:, :count].T, target)) / 2


def classification(joint: Joint, batch: Batch, rng: random.Random) -> Tensor:
    """Return the mean cross-entropy of garments by class, plus that by colour and class."""
    classes = [(None, source.things[n]) for source, n in batch.owners]
    coloured = [(source.colours[n], source.things[n]) for source, n in batch.owners]
    return _cross_entropy_of_kinds(
        joint, batch.images, classes, [(None, name) for name in CLOTHES], rng
    ) + _cross_entropy_of_kinds(
        joint, batch.images, coloured, list(itertools.product(COLOURS, CLOTHES)), rng
    )


def _cross_entropy_of_kinds(
    joint: Joint, images: Tensor, kinds: list[Kind], choices: Sequence[Kind], rng: random.Random
) -> Tensor:
    places = {kind: place for place, kind in enumerate(choices)}
    rows = [row for row, kind in enumerate(kinds) if kind in places]
    targets = torch.tensor([places[kinds[row]] for row in rows])
    names = [f"{colour} {name}" if colour else name for colour, name in choices]
    texts = joint.texts([in_a_template(name, rng) for name in names])
    logits = joint.images(images[rows]) @ texts.T / TEMPERATURE
    return cross_entropy(logits, targets)


def _phrase(source: Features, n: int, rng: random.Random) -> Phrase:
    """Draw the name or another text of a picture, often with its colour, sometimes two texts."""
    texts = source.texts[n]
    text = texts[0] if rng.random() < 0.4 else rng.choice(texts)
    colour = source.colours[n] if rng.random() < 0.4 else None
    if colour is None and rng.random() < 0.15:
        return Phrase(source.things[n], f"{text}, {rng.choice(texts)}", None)
    return Phrase(source.things[n], text, colour)


def _also_matching(owners: list[tuple[Features, int]], phrases: list[Phrase]) -> Tensor:
    """Return (m, n): where a phrase that was drawn for another picture also fits this one."""
    by_thing, by_text = defaultdict(list), defaultdict(list)
    for column, phrase in enumerate(phrases):
        by_thing[phrase.thing].append(column)
        by_text[phrase.text].append(column)
    masked = torch.zeros(len(owners), len(phrases), dtype=torch.bool)
    for row, (source, n) in enumerate(owners):
        columns = [*by_thing[source.things[n]]]
        for text in source.texts[n]:
            columns += by_text.get(text, ())
        colour = source.colours[n]
        fits = [c for c in columns if c != row and phrases[c].colour in (None, colour)]
        masked[row, fits] = True
    return masked
