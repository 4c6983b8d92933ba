"""PyTorch's side of a comparison: the same model in a process of its own, which answers one JSON line with another.

Run as ``python -m benchmarks.rival_worker LAYERS HIDDEN_SIZE``. PyTorch's own best: bfloat16 autocast,
scaled dot product attention, fused AdamW, clipping over all tensors at once.
"""

import json
import sys
import time

import torch
from transformers import BertModel

from benchmarks.sizes import VOCABULARY_SIZE, bert_config

LABELS = 15


class Rival:
    """A random BERT with one head."""

    def __init__(self, layers: int, hidden_size: int) -> None:
        self.encoder = BertModel(bert_config(layers, hidden_size))
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(hidden_size, LABELS)
        self.parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-5, weight_decay=0.01, fused=True)

    def logits(self, rows: int, length: int) -> torch.Tensor:
        """Returns the logits of random rows."""
        ids = torch.randint(200, VOCABULARY_SIZE, (rows, length))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = self.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
            return self.head(self.dropout(outputs.pooler_output)).float()

    def train(self, rows: int, length: int) -> None:
        """Does one optimizer step."""
        self.encoder.train()
        loss = torch.nn.functional.cross_entropy(self.logits(rows, length), torch.randint(0, LABELS, (rows,)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def predict(self, rows: int, length: int) -> None:
        """Computes logits without dropout and gradients."""
        self.encoder.eval()
        with torch.inference_mode():
            self.logits(rows, length)


def main() -> None:
    """Answers {"do": "train" or "predict", "shapes": [[rows, length], ...]} with {"seconds": ...}."""
    rival = Rival(int(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        request = json.loads(line)
        run = rival.train if request["do"] == "train" else rival.predict
        started = time.perf_counter()
        for rows, length in request["shapes"]:
            run(rows, length)
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)


if __name__ == "__main__":
    main()
