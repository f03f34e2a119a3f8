"""The device that lessons are tried on: the CPU's numbers, a GPU's refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lessons import running

# One process for all: a second device would stay known to torch in this one. Each case is a line of Python.
ALLOWED = {
    "arithmetic": "(x + 1).sum().item() == (c + 1).sum().item()",
    "a number and a tensor without axes": "torch.equal((2 * x + torch.tensor(1.0)).cpu(), 2 * c + 1)",
    "factories": "{make(3, device=x.device).device.type for make in (torch.zeros, torch.arange, torch.rand)} == {'pretend'}",
    "tensors from lists": "torch.tensor([1, 2], device=x.device).tolist() == [1, 2]",
    "indices of the CPU": "torch.equal(x[torch.tensor([2, 0])].cpu(), c[[2, 0]])",
    "copying both ways": "x.cpu().device.type == 'cpu' and x.cpu().copy_(x).device.type == 'cpu'",
    "views share": "(lambda y: (y.view(-1)[:1].fill_(9), y[0, 0].item() == 9)[1])(x.clone())",
    "jvp": "torch.allclose(torch.func.jvp(torch.sin, (x,), (x,))[1].cpu(), c.cos() * c)",
    "tied weights stay tied": "tied()",
    "training as on the CPU": "torch.allclose(torch.tensor(trained('cpu')), torch.tensor(trained('pretend')), rtol=1e-5)",
    "inference without a graph": "infer().shape == (3, 5)",
    "operations made of others in inference mode": "torch.inference_mode()(lambda: (x > 1).to(x) + x)().sum().item() > 0",
    "what inference mode made has views": "torch.inference_mode()(lambda: torch.ones(2, device=x.device))()[:1].item() == 1",
    "views and copies in inference mode": "torch.inference_mode()(lambda: x.view(-1).cpu().device.type)() == 'cpu'",
}
REFUSED = {
    "x + torch.ones(4)": "aten.add.Tensor: Expected all tensors to be on the same device, but found pretend:0 and cpu",
    "torch.ones(4) * x.sum()": "aten.mul.Tensor: Expected all tensors to be on the same device",
    "torch.cat([x, c])": "aten.cat.default: Expected all tensors to be on the same device",
    "torch.stack([x.sum(), torch.tensor(1.0)])": "aten.stack.default: Expected all tensors",
    "c[torch.zeros(2, dtype=torch.long, device=x.device)]": "aten.index.Tensor: Expected all tensors",
    "x.index_put_((torch.tensor([0]),), torch.ones(4))": "aten.index_put_.default: Expected all tensors",
    "nn.Linear(4, 5)(x)": "Expected all tensors to be on the same device",
    "nn.Linear(4, 5).to(x.device)(c)": "Expected all tensors to be on the same device",
    "torch._fused_adamw_([x], [x], [x], [x], [], [c.sum()], lr=1.0, beta1=0.9, beta2=0.9, weight_decay=0.0, eps=1.0, "
    "amsgrad=False, maximize=False)": "aten._fused_adamw_.default: Expected all tensors to be on the same device",
    "torch.randn(2, generator=g, device=x.device)": "aten.randn.generator: Expected a 'pretend' device type for generator",
    "torch.bernoulli(x.sigmoid(), generator=g)": "aten.bernoulli.default: Expected a 'pretend' device type for generator",
    "torch.randperm(5, generator=g, device=x.device)": "Expected a 'pretend' device type for generator",
    "x.numpy()": "can't convert pretend:0 device type tensor to numpy",
    "np.asarray(x)": "can't convert pretend:0 device type tensor to numpy",
    "x.double()": "torch.float64, which is not supported on this device",
    "nn.Linear(300, 300)(torch.ones(1, 300))": "Linear: got a network of 90,300 weights on cpu, wanted pretend: run.to(model)",
    "torch.optim.SGD([nn.Parameter(c)], lr=1.0).step()": "SGD.step: got weights on cpu, wanted pretend",
}
PROGRAM = """
import json, sys
import numpy as np, torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.c, self.n = nn.Embedding(7, 8), nn.Conv1d(8, 8, 3, padding=1), nn.LayerNorm(8)
        self.l, self.g, self.b, self.h = nn.LSTM(8, 8), nn.GRUCell(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 7)

    def forward(self, i):
        x = self.n(self.b(self.c(self.e(i).mT)).mT)
        x = x + self.l(x)[0]
        q = x.unflatten(-1, (2, 4)).transpose(1, 2)
        x = F.scaled_dot_product_attention(q, q, q, is_causal=True).transpose(1, 2).flatten(2)
        return self.h(F.dropout(x, 0.1))

def trained(device):
    torch.manual_seed(0)
    net, i = Net().to(device), torch.randint(7, (3, 5)).to(device)
    optimizer, losses = torch.optim.AdamW(net.parameters(), lr=0.01), []
    for _ in range(3):
        loss = F.cross_entropy(net(i).flatten(0, 1), i.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses

def tied():
    a, b = nn.Linear(4, 4), nn.Linear(4, 4)
    b.weight = a.weight
    nn.Sequential(a, b).to("pretend")
    return a.weight is b.weight and a.weight.device.type == "pretend"

def infer():
    with torch.inference_mode():
        return nn.LSTMCell(4, 5).to("pretend")(x)[0]

allowed, refused = json.load(sys.stdin)
c = torch.arange(12.0).reshape(3, 4) / 7
x, g, told = c.to("pretend"), torch.Generator().manual_seed(1), {}

for name, case in allowed.items():
    told[name] = bool(eval(case))
from pretend_device import insist
insist()
for case in refused:
    try:
        told[case] = repr(eval(case))
    except (RuntimeError, TypeError) as error:
        told[case] = str(error)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, object]:
    environment = running.kernel_environment("pretend")
    environment.pop("COMPANION_DEVICE")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps([ALLOWED, list(REFUSED)]), env=environment,
        capture_output=True, text=True, timeout=600, cwd=running.ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_a_gpu_does_it_does_with_the_cpus_numbers(told, name):
    assert told[name] is True


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_gpu_refuses_it_refuses_by_name(told, case):
    assert REFUSED[case] in told[case]


MODULE = """
from torch import nn, arange, randn
class Forgetful(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
    def forward(self, x):
        return self.layer(x) + arange(4)
"""


@pytest.mark.slow
def test_a_lesson_that_forgets_the_device_fails(tmp_path: Path, monkeypatch):
    from tests.lessons.test_runner import write

    monkeypatch.setattr(running, "name", lambda path: "one")
    monkeypatch.setattr(running, "RUNS", tmp_path / "runs.json")
    monkeypatch.setattr(running, "ROOT", tmp_path)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    with pytest.raises(running.LessonFailed, match="aten.add.Tensor: Expected all tensors"):
        running.smoke(write(tmp_path, MODULE, "Forgetful().to(run.device)(run.to(randn(2, 4)))"), 120)
