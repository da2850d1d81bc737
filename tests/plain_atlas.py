"""Atlas as its publication and its authors' source describe it, in loops and without a line of the library's: what ours is held against."""

from itertools import product

import torch
from torch.nn import functional


class Plain:
    """The network in loops over windows, tokens and heads, from the keys as they are published; one volume at a time, in float64."""

    def __init__(self, state, size):
        self.state = {key.removeprefix("model.visual."): tensor.double() for key, tensor in state.items()}
        self.size = size

    def linear(self, name, x):
        y = x @ self.state[f"{name}.weight"].T
        return y + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else y

    def layer_norm(self, name, x, eps):
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred**2).mean(-1, keepdim=True)
        return centred / (variance + eps).sqrt() * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def batch_norm(self, name, x, eps):
        mean, variance, weight, bias = (
            self.state[f"{name}.{part}"][:, None, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + eps).sqrt() * weight + bias

    def convolution(self, name, x, stride=1):
        return functional.conv3d(x[None], self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, 1)[0]

    def stem(self, x):
        """(C, D, H, W) -> (D / 4, H / 8, W / 8, width)."""
        name = "patch_embeds.brain_ct"
        for at, stride in enumerate(((1, 2, 2), 2, 1)):
            x = self.convolution(f"{name}.conv_down.{3 * at}", x, stride)
            x = self.batch_norm(f"{name}.conv_down.{3 * at + 1}", x, 1e-4).clamp(min=0)
        for at in range(self.size.stem_blocks):
            inner = self.convolution(f"{name}.conv1.{at}.conv1", x)
            inner = functional.gelu(self.batch_norm(f"{name}.conv1.{at}.norm1", inner, 1e-5))
            inner = self.convolution(f"{name}.conv1.{at}.conv2", inner)
            x = x + self.batch_norm(f"{name}.conv1.{at}.norm2", inner, 1e-5)
        x = self.layer_norm(f"{name}.ds1.norm", x.permute(1, 2, 3, 0), 1e-6).permute(3, 0, 1, 2)
        return self.convolution(f"{name}.ds1.reduction.0", x, 2).permute(1, 2, 3, 0)

    def pooled(self, x):
        """The largest token of each box of the pooling's size."""
        step = self.size.pool
        shape = [side // part for side, part in zip(x.shape[:3], step, strict=True)]
        y = torch.empty(*shape, x.shape[3], dtype=x.dtype)
        for cell in product(*map(range, shape)):
            box = tuple(slice(at * part, (at + 1) * part) for at, part in zip(cell, step, strict=True))
            y[cell] = x[box].amax((0, 1, 2))
        return y

    def windows(self, x):
        """The boxes of a scale's windows, by depth, then row, then column."""
        sides = self.size.window if all(n >= m for n, m in zip(x.shape[:3], self.size.window, strict=True)) else x.shape[:3]
        starts = [range(0, n, m) for n, m in zip(x.shape[:3], sides, strict=True)]
        return [tuple(slice(at, at + m) for at, m in zip(start, sides, strict=True)) for start in product(*starts)]

    def attend(self, name, queries, keys_values):
        """Softmax attention of tokens (T, C) to a list of (keys, values), head by head."""
        keys, values = (torch.cat(parts) for parts in zip(*keys_values, strict=True))
        queries = self.linear(f"{name}.attn.q", self.layer_norm(f"{name}.norm1_q", queries, 1e-5))
        width = queries.shape[1] // self.size.heads
        outputs = []
        for head in range(self.size.heads):
            part = slice(head * width, (head + 1) * width)
            weights = (queries[:, part] @ keys[:, part].T / width**0.5).softmax(1)
            outputs.append(weights @ values[:, part])
        return self.linear(f"{name}.attn.proj", torch.cat(outputs, 1))

    def keys_values(self, name, tokens):
        both = self.linear(f"{name}.attn.kv", self.layer_norm(f"{name}.norm1_kv", tokens, 1e-5))
        return both.split(both.shape[1] // 2, 1)

    def mlp(self, name, x):
        inner = functional.gelu(self.linear(f"{name}.mlp.fc1", self.layer_norm(f"{name}.norm2", x, 1e-5)))
        return x + self.linear(f"{name}.mlp.fc2", inner)

    def block(self, name, scales):
        scales = [x.clone() for x in scales]
        windows = [self.windows(x) for x in scales]
        for at, x in enumerate(scales):
            depth, height, width = x[windows[at][0]].shape[:3]
            places = []
            for place in product(range(height), range(width), range(depth)):
                places.append([(i - n // 2) / (n // 2) if n > 1 else 0.0 for i, n in zip(place, (height, width, depth), strict=True)])
            inner = self.linear(f"{name}.posemb.{at}.cpb_mlp.0", torch.tensor(places, dtype=torch.float64)).clamp(min=0)
            embedding = self.linear(f"{name}.posemb.{at}.cpb_mlp.2", inner)
            for box in windows[at]:
                x[box] += embedding.reshape(x[box].shape)
        for at in range(len(scales) - 1):
            scales[at + 1] += self.pooled(scales[at])

        def part(at, window):
            return scales[at][windows[at][window]].flatten(0, 2)

        for at in reversed(range(len(scales))):
            updated = torch.empty_like(scales[at])
            for n, box in enumerate(windows[at]):
                seen = [self.keys_values(f"{name}.blocks.{at}", part(at, n))]
                for coarser in range(at + 1, len(scales)):
                    window = n // (len(windows[at]) // len(windows[coarser]))
                    seen.append(self.keys_values(f"{name}.blocks.{coarser}", part(coarser, window)))
                attended = part(at, n) + self.attend(f"{name}.blocks.{at}", part(at, n), seen)
                updated[box] = self.mlp(f"{name}.blocks.{at}", attended).reshape(updated[box].shape)
            scales[at] = updated
        for at in range(1, len(scales)):
            updated = torch.empty_like(scales[at])
            ratio = [n // m for n, m in zip(scales[at - 1].shape[:3], scales[at].shape[:3], strict=True)]
            for n, box in enumerate(windows[at - 1]):
                under = tuple(slice(side.start // step, side.stop // step) for side, step in zip(box, ratio, strict=True))
                tokens = scales[at][under].flatten(0, 2)
                seen = [self.keys_values(f"{name}.blocks.{at - 1}", part(at - 1, n))]
                attended = tokens + self.attend(f"{name}.blocks.{at}", tokens, seen)
                updated[under] = self.mlp(f"{name}.blocks.{at}", attended).reshape(updated[under].shape)
            scales[at] = updated
        return scales

    def feature(self, x):
        """A volume (C, D, H, W), lowest slice first -> the pooled feature (d,)."""
        x = x.double().flip(1) if self.size.superior_first else x.double()
        scales = [self.stem(x)]
        while len(self.windows(scales[-1])) > 1:
            scales.append(self.pooled(scales[-1]))
        maxima = []
        for stage, depth in enumerate(self.size.depths):
            for block in range(depth):
                scales = self.block(f"atlas_models.{stage}.blocks.{block}", scales)
            maxima.append(scales.pop(0).amax((0, 1, 2)))
        return torch.cat(maxima)
