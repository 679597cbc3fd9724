"""ResNet v2 in plain PyTorch: the layers of `utils.model.resnet.resnet_v2`, timed beside it."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.training import random_images
from utils.model.resnet import STAGE_WIDTHS


def norm(channels):
    """Batch normalization with the momentum of the recipe, which PyTorch counts as 1 - 0.9."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)


class Bottleneck(nn.Module):
    """Pre-activation bottleneck; the first of all takes what the stem has activated already."""

    def __init__(self, before, inner, after, stride, first):
        super().__init__()
        self.norm1 = None if first else norm(before)
        self.conv1 = nn.Conv2d(before, inner, 1, stride)
        self.norm2, self.conv2 = norm(inner), nn.Conv2d(inner, inner, 3, 1, 1)
        self.norm3, self.conv3 = norm(inner), nn.Conv2d(inner, after, 1)
        self.shortcut = nn.Conv2d(before, after, 1, stride) if before != after else None

    def forward(self, x):
        y = x if self.norm1 is None else functional.relu(self.norm1(x))
        y = self.conv1(y)
        y = self.conv2(functional.relu(self.norm2(y)))
        y = self.conv3(functional.relu(self.norm3(y)))
        return y + (x if self.shortcut is None else self.shortcut(x))


class ResNet(nn.Module):
    """float (n, 3, 32, 32) -> logits (n, 10)."""

    def __init__(self, depth):
        super().__init__()
        before = STAGE_WIDTHS[0][0]
        self.stem, self.stem_norm = nn.Conv2d(3, before, 3, 1, 1), norm(before)
        blocks = []
        for stage, (inner, after) in enumerate(STAGE_WIDTHS):
            for block in range((depth - 2) // 9):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(before, inner, after, stride, first=not blocks))
                before = after
        self.blocks, self.norm = nn.Sequential(*blocks), norm(before)
        self.logits = nn.Linear(before, 10)

    def forward(self, x):
        x = self.blocks(functional.relu(self.stem_norm(self.stem(x))))
        return self.logits(functional.relu(self.norm(x)).mean(dim=(2, 3)))


def train(clock, depth, batch_size, count, precision, compiled):
    """A maker for `benchmarks.workers`: channels last, no augmentation, images on the device.

    Args:
        clock: `benchmarks.workers.Clock`.
        depth: int, 9n + 2.
        batch_size: int.
        count: int, images in a pass.
        precision: Keras dtype policy that suits the device; PyTorch has `autocast` for it.
        compiled: bool, whether to use `torch.compile`.
    """
    clock.describe(count, precision)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = ResNet(depth).to(device, memory_format=torch.channels_last)
    step_model = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    images, labels = random_images(count)
    pixels = torch.as_tensor(images, device=device).permute(0, 3, 1, 2).float().div(255)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    classes = torch.as_tensor(labels, device=device).long()
    mixed = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}.get(precision)

    def run():
        for at in range(0, count, batch_size):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, mixed or torch.bfloat16, enabled=mixed is not None):
                logits = step_model(pixels[at : at + batch_size])
            loss = functional.cross_entropy(logits.float(), classes[at : at + batch_size])
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device

    clock.repeat(run)
