import json
CLAIM='# %% mystnb={"code_prompt_hide": "How this is checked", "code_prompt_show": "How this is checked"} tags=["hide-input"]\n'
def md(t): return "# %% [markdown]\n"+"\n".join(("# "+l).rstrip() if l else "#" for l in t.strip("\n").split("\n"))+"\n"
def code(t,tags=None): return ("# %%"+(f' tags={tags}' if tags else ""))+"\n"+t.strip("\n")+"\n"
def fig(t,caption,name,alt,tags='["hide-input"]'):
    m='mystnb='+json.dumps({"figure":{"caption":caption,"name":name},"image":{"alt":alt}},ensure_ascii=False)
    return "# %% "+m+f" tags={tags}\n"+t.strip("\n")+"\n"
def claim(t): return CLAIM+t.strip("\n")+"\n"
def hint(h,s): return md(f"<details>\n<summary>Hint</summary>\n\n{h}\n\n</details>\n<details>\n<summary>Solution</summary>\n\n```python\n{s}\n```\n\n</details>")
def ask(t): return "# %% tags=[\"predict\"]\n"+t+"\n"
NV='["nbval-ignore-output"]'; HN='["hide-input", "nbval-ignore-output"]'; GL='["remove-input", "nbval-ignore-output"]'
out=[]; add=out.append
add(md(r'''(3-6-flux)=
# Flux: words and picture in one transformer

## What you will be able to do

You will build the denoiser of today's image models, a transformer that reads words and picture together; say why the straight lines of {term}`flow matching` make bent ways, and straighten them; choose what a network should predict; and draw in a few steps, or in one, what took two dozen calls.

*Flux* was announced by Black Forest Labs in August 2024. Code and weights of some versions are public {cite:p}`bfl2024flux`; of the data and of the training little is. Its parts are described elsewhere: straight paths {cite:p}`liu2022rectified,lipman2022flow`, blocks for two kinds of tokens {cite:p}`esser2024sd3`, attention beside an MLP {cite:p}`dehghani2023vit22b`.

You need {ref}`3-6-stable-diffusion`: text tower, autoencoder and pipeline of this page are those of that lesson, and so are the scenes.'''))
add('''# %% tags=["remove-cell"]
# In Colab the course is installed first; elsewhere this does nothing.
import subprocess
import sys

COURSE = "https://github.com/generative-ai-you-can-run/course"
if "google.colab" in sys.modules:
    extras = "data,speech,carbon,scores"
    package = f"generative-ai-companion[{extras}] @ git+{COURSE}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", package]
    subprocess.run(pip, check=True)
''')
add('''# %% tags=["parameters", "hide-input"]
from copy import deepcopy
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from companion.data.scenes import scenes
from companion.diagrams import Arrow, Box, Diagram
from companion.diffusion.ddim import ddim_sample
from companion.diffusion.guidance import guided
from companion.diffusion.guidance_distillation import (
    GuidanceDistillationLoss,
)
from companion.diffusion.losses import DenoisingLoss
from companion.diffusion.paths import RectifiedFlow, q_sample
from companion.diffusion.prediction import as_denoiser
from companion.diffusion.reflow import ReflowLoss
from companion.diffusion.shortcut import ShortcutLoss
from companion.diffusion.straightness import straightness, ways
from companion.diffusion.times import Uniform
from companion.exercises.tries import attempt
from companion.image.flux import Told, student_of
from companion.image.flux.blocks import DoubleBlock, SingleBlock
from companion.image.flux.hidden_plane import (
    PointNet,
    distance_to_spiral,
    plane,
    spiral,
)
from companion.image.flux.looking import joint_attention
from companion.lesson import claim, glue, predicted, setup, show
from companion.metrics.intervals import wilson
from companion.metrics.scene_reader import read_scenes, score
from companion.models import flux_scenes as recipe
from companion.models import flux_shortcut_scenes, stable_diffusion_scenes
from companion.plotting import image_grid, show_images
from companion.training import TrainConfig, train

SEED = 0
BUDGET = "laptop"
''')
add(code('run = setup("3_06_image/flux", SEED, BUDGET)','["nbval-ignore-output", "hide-input"]'))
add(md('''Eight sentences, and under each what the shipped model draws for it, four times. No training picture had this pair of things in this relation, or this thing in this colour. The first pictures that came are shown.'''))
add(code('''painter = run.to(recipe.load())
count = run.pick(smoke=8, laptop=48, workstation=400)
steps = run.pick(smoke=2, laptop=12, workstation=20)
held = scenes(count, run.generator(1), split="test")
first = held.captions[:8]
drawn = painter.text_to_image(
    first * 4, run.generator(2), steps=steps
).cpu()'''))
add('# %% mystnb='+json.dumps({"figure":{"caption":"Held-out captions, four pictures of each, drawn with guidance 3 in twelve steps.","name":"fig-flux-first"},"image":{"alt":"Eight captions such as a cactus below a red heart on mint, under each four small pictures that show what the caption says."}})+''' tags=["hide-input", "first-picture"]
figure, axes = plt.subplots(4, 2, figsize=(5.6, 3.7))
for k, (ax, caption) in enumerate(zip(axes.flat, first, strict=True)):
    four = torch.stack(list(drawn[k :: len(first)]))
    ax.imshow(image_grid(four, 4), vmin=0, vmax=1)
    ax.set_title(caption, fontsize=8, pad=3)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()
''')
add(md(r'''## Straight lines, bent ways

Draw a line from noise $\epsilon$ to data $x$, and let time run along it from 0 to 1:

$$
x_t = (1 - t)\,\epsilon + t\,x, \qquad \frac{d x_t}{d t} = x - \epsilon .
$$ (eq-flux-line)

A network that is shown $x_t$ and $t$ learns to say the velocity $x - \epsilon$. Write both.'''))
add(code('''def straight(noise, data, t):
    # noise, data: (n, d), t: (n,); returns x_t and the velocity
    ...


straight = attempt("3.6-flux-1", straight)''','["try"]'))
add(hint('`t[:, None]` stands beside the numbers of each row.','''def straight(noise, data, t):
    t = t[:, None]
    return (1 - t) * noise + t * data, data - noise'''))
add(md(r'''Noise and data are drawn without regard to each other, so the lines cross. Where they cross, one answer must serve for all: the best one under a squared error is the mean of their velocities. So a sampler that follows the network, $dx/dt = u(x, t)$, does not go along such lines. A small network on points of a spiral shows it. *Straightness* {cite:p}`liu2022rectified` says how far the ways of a sampler, from $x_0$ to $x_1$, are from straight lines gone at an even pace:

$$
S = \int_0^1 \frac{E\,\|(x_1 - x_0) - u(x_t, t)\|^2}{E\,\|x_1 - x_0\|^2}\, dt .
$$ (eq-flux-straightness)'''))
add(code('''path = RectifiedFlow()
updates = run.pick(smoke=4, laptop=800, workstation=4000)
how = TrainConfig(
    steps=updates,
    batch_size=256,
    lr=2e-3,
    warmup=0.05,
    final_lr=0.02,
    weight_decay=0.0,
    ema=0.99,
    seed=SEED,
)


def flow(net):
    """A network of velocities as a denoiser."""
    return as_denoiser(net.eval(), path, "velocity")''','["hide-input"]'))
add(code('''def spirals(n, generator):
    return (spiral(n, generator),)


torch.manual_seed(SEED)
net = train(
    PointNet(2, 64), DenoisingLoss(path, "velocity"), spirals, how
).model'''))
add(md(r'''The cure is called *reflow*. Take noise $z$, let the network carry it to where it goes, $\Phi(z)$, and train again on the lines between these pairs:

$$
L = E \,\big\| (\Phi(z) - z) - u\big((1 - t)\,z + t\,\Phi(z),\, t\big) \big\|^2 .
$$ (eq-flux-reflow)

Ways of one flow never cross: from one place at one time there is one way on. So the new lines cross less than those between strangers, and the mean has less to average. The control is the first network, trained as long as both together.'''))
add(code('''many = run.pick(smoke=100, laptop=8000, workstation=50_000)
pairs = torch.randn(many, 2, generator=run.generator(3))
arrived = ddim_sample(flow(net), path, pairs, 50)


def made(n, generator):
    rows = torch.randint(len(pairs), (n,), generator=generator)
    return pairs[rows], arrived[rows]


second = train(deepcopy(net), ReflowLoss(), made, how).model'''))
add(code('''longer = train(
    deepcopy(net), DenoisingLoss(path, "velocity"), spirals, how
).model
flows = {"first": net, "trained longer": longer, "reflowed": second}
z = torch.randn(1000, 2, generator=run.generator(4))
bent, far = {}, {}
print("mean distance to the spiral after 1, 2, 8 and 50 steps")
for name, one in flows.items():
    bent[name] = straightness(*ways(flow(one), z, 50))
    ends = {n: ddim_sample(flow(one), path, z, n) for n in (1, 2, 8, 50)}
    far[name] = {
        n: float(distance_to_spiral(x).mean()) for n, x in ends.items()
    }
    row = (f"{d:.2f}" for d in far[name].values())
    print(f"{name:15} S = {bent[name]:.3f} ", *row)''',HN))
add(fig('''figure, axes = plt.subplots(1, 3, figsize=(6.4, 2.5), sharex=True, sharey=True)
some, line = z[:60], spiral(1000, run.generator(5))
strangers = torch.stack([some, spiral(60, run.generator(6))])
shown = {
    "lines of training": strangers,
    "ways, first": ways(flow(flows["first"]), some, 50)[0],
    "ways, reflowed": ways(flow(flows["reflowed"]), some, 50)[0],
}
for ax, (name, places) in zip(axes, shown.items(), strict=True):
    ax.scatter(*line.T, s=2, color="0.75")
    ax.plot(*places.movedim(2, 0), lw=0.6, color="C0")
    ax.scatter(*places[-1].T, s=5, color="C1", zorder=3)
    ax.set(title=name, aspect="equal", xticks=[], yticks=[])
plt.show()''',"Sixty draws of noise and where they go (orange), among data on a spiral (grey).","fig-flux-ways","Three panels of lines from noise to points on a spiral: in the first they cross everywhere, in the second they bend and do not cross, in the third they are straight and hardly cross."))
add(claim('''claim(
    "3.6-flux-a",
    "The ways of the first flow are far from straight, and no straighter "
    "after twice the training; those of the reflowed one have less than a "
    "twentieth of its S. In one step it comes nearer to the spiral than "
    "the first flow does in two, in fifty not nearer.",
    bent["trained longer"] > 0.8 * bent["first"]
    and bent["reflowed"] < bent["first"] / 20
    and far["reflowed"][1] < far["first"][2]
    and far["reflowed"][50] > far["first"][50],
)'''))
add(code('''glue("flux-S-first", bent["first"], "{:.1f}")
glue("flux-S-again", bent["reflowed"], "{:.3f}")''',GL))
add(md(r'''S falls from {glue:text}`flux-S-first` to {glue:text}`flux-S-again`. (After one step the first flow is near the spiral as well, but look where: at $t = 0$ the mean of all lines points to the middle of all data, and every draw ends there, where the spiral begins.) The reflowed network is as good in one step as in fifty; it has its teacher's errors and its own. Straight ways are no aim in themselves: they are what makes few steps do.

## What to predict

Velocity, noise or data: from $x_t$ and one of them the others follow, so it may seem to be all one. But a network has to *say* it, and noise fills all dimensions of a space, while pictures fill few. Lay the spiral into a space of $D$ dimensions, by a matrix $P$ with two orthonormal columns, $x = P y$, which the network is not told {cite:p}`li2025jit`. Its hidden layers have 64 numbers. Predict: with the velocity predicted and $D = 128$, how far from the plane of the data do draws end? (The data spread by about 1, and a draw of noise lies 11 away.)'''))
add(ask('prediction_off = ...  # mean distance from the plane'))
add(code('''def learned(p, kind):
    """A network that predicts data, velocity or noise of P y."""
    torch.manual_seed(SEED)
    space = kind if kind == "epsilon" else "velocity"
    loss = DenoisingLoss(path, kind, space, times=Uniform(0.02, 0.98))
    net = PointNet(len(p), 64)
    return train(
        net, loss, lambda n, g: (spiral(n, g) @ p.T,), how
    ).model.eval()'''))
add(code('''kinds = ("x0", "velocity", "epsilon")
widths = run.pick(smoke=(2, 8), laptop=(2, 16, 128), workstation=(2, 16, 512))
within = [0.02 + 0.96 * i / 50 for i in range(51)]  # and the last guess
points, along, off = {}, {}, {}
for width in widths:
    p = plane(width, run.generator(7))
    for kind in kinds:
        net = learned(p, kind)
        noise = torch.randn(500, width, generator=run.generator(8))
        ends = ddim_sample(
            as_denoiser(net, path, kind), path, noise, [*within, 1.0]
        )
        points[width, kind] = ends @ p
        along[width, kind] = float(distance_to_spiral(ends @ p).mean())
        off[width, kind] = float((ends - ends @ p @ p.T).norm(dim=1).mean())
        print(
            f"D = {width:3}, {kind:8}: {along[width, kind]:6.2f} from the "
            f"spiral in the plane, {off[width, kind]:7.2f} from the plane"
        )''',HN))
add(code('predicted(prediction_off, off[widths[-1], "velocity"], "{:.1f}")',HN))
add(fig('''figure, axes = plt.subplots(3, len(widths), figsize=(5.4, 5.4))
for row, kind in zip(axes, kinds, strict=True):
    for ax, width in zip(row, widths, strict=True):
        ax.scatter(*points[width, kind].T, s=2)
        ax.set(xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), xticks=[], yticks=[])
        ax.set_aspect("equal")
        ax.set_title(f"D = {width}", fontsize=9)
    row[0].set_ylabel({"x0": "data", "epsilon": "noise"}.get(kind, kind))
plt.show()''',"What is drawn, seen in the plane of the data, by what the network predicts (rows) and by the dimensions of the space (columns).","fig-flux-plane","Nine panels. The row that predicts the data shows a clean spiral for 2, 16 and 128 dimensions; those that predict velocity or noise show it for 2 dimensions and lose it for more."))
add(claim('''low, high = widths[0], widths[-1]
claim(
    "3.6-flux-b",
    "In two dimensions all three end within 0.2 of the spiral. In 128 the "
    "network that predicts the data ends as near as that, and within 0.1 "
    "of the plane; the one that predicts the velocity more than 5 away "
    "from it, and the one that predicts the noise farther still.",
    max(along[low, kind] for kind in kinds) < 0.2
    and along[high, "x0"] < 0.2
    and off[high, "x0"] < 0.1
    and 5 < off[high, "velocity"] < off[high, "epsilon"],
)'''))
add(md(r'''To say the velocity, a network must pass on the noise that it is shown, all $D$ numbers of it; to say the data it may forget the noise. Through 64 numbers 128 do not pass at all. Sixteen would, and yet it goes worse than with the data: passing on has to be learned, too. An error in the noise is then divided by $t$ on its way to the data, which is the harm in the last row. Three cautions. Wider layers change the picture ({numref}`ex-flux-1`). So would a way around the network for what it is shown ({ref}`3-6-stable-diffusion` has one, the line of its denoiser). And the error that is made small is that of the velocity in the first two rows; it weighs errors in the data by $1 / (1-t)^2$.

Flux works on latents: our tokens have 16 numbers, Flux's 64, in a stream of 128 and 3,072. There is room, each block adds to what comes in, and Flux predicts the velocity. So does ours: in one short run of each it learned fastest with it ([](../log.md)). Models of pixels, with 768 numbers a token or more, are where the choice is said to decide {cite:p}`li2025jit`.

## Two kinds of blocks

The latents of a picture, 4 × 16 × 16, are cut into squares of 2 × 2 places: 64 image *tokens* of 16 numbers. Twelve places of text come before them. In a U-Net the picture looks at the words; here all look at all.'''))
add(code('''Diagram(
    [
        Box("c", 0, 0, "words", "data"),
        Box("x", 2, 0, "image tokens", "data"),
        Box("mc", 0, 1, "norm, q k v"),
        Box("mx", 2, 1, "norm, q k v"),
        Box("a", 1, 2, "attention of all", "plain"),
        Box("fc", 0, 3, "MLP"),
        Box("fx", 2, 3, "MLP"),
        Box("y", 1, 4, "joined", "data"),
        Box("n", 1, 5, "norm, q k v, MLP"),
        Box("b", 1, 6, "attention of all", "plain"),
        Box("u", 1, 7, "velocity", "data"),
    ],
    [
        Arrow("c", "mc", "12 × 128"),
        Arrow("x", "mx", "64 × 128"),
        Arrow("mc", "a"),
        Arrow("mx", "a"),
        Arrow("a", "fc"),
        Arrow("a", "fx"),
        Arrow("fc", "y"),
        Arrow("fx", "y"),
        Arrow("y", "n", "76 × 128"),
        Arrow("n", "b"),
        Arrow("b", "u", "64 × 16"),
    ],
)''','["hide-input"]'))
add(md(r'''A *double* block (above the join) is two transformers that meet in one attention {cite:p}`esser2024sd3`. With words $c$ and image tokens $x$, each with queries, keys and values from matrices of its own,

$$
[c; x] \leftarrow [c; x] + \alpha \odot W_o\,
\operatorname{Attention}\big([q_c; q_x], [k_c; k_x], [v_c; v_x]\big) .
$$ (eq-flux-joint)

$[\,;\,]$ puts one sequence after the other, $\alpha$ is a gate, and $W_o$, too, there is once for words and once for tokens. Write the attention, for one head.'''))
add(code('''def joint(q_c, k_c, v_c, q_x, k_x, v_x):
    # q_c, k_c: (words, d), v_c: (words, e); q_x, k_x: (tokens, d), ...
    # returns what the words get and what the tokens get
    ...


joint = attempt("3.6-flux-2", joint)''','["try"]'))
add(hint('One soft-max over words and tokens together; then cut the rows apart.','''def joint(q_c, k_c, v_c, q_x, k_x, v_x):
    q, k = torch.cat([q_c, q_x]), torch.cat([k_c, k_x])
    v = torch.cat([v_c, v_x])
    out = (q @ k.T / q.shape[1] ** 0.5).softmax(1) @ v
    return out[: len(q_c)], out[len(q_c) :]'''))
add(code('show(DoubleBlock.forward)','["remove-input"]'))
add(md(r'''`modulation` makes of time and text a shift, a scale and a gate for each stream, as in {ref}`3-7-sora`; they start at zero, so each block starts by changing nothing. Queries and keys are normed for each head (so that no product grows without bound) and turned by their places: a token by its row and its column, words not at all. The order of the words must be in what the text tower says of them.

A *single* block has one set of weights for both, and runs attention and MLP side by side {cite:p}`dehghani2023vit22b`: with $\hat y$ the joined sequence, normed and modulated,

$$
y \leftarrow y + \alpha \odot W \big[\operatorname{Attention}(\hat y);\,
\operatorname{GELU}(W_1 \hat y)\big] .
$$ (eq-flux-single)'''))
add(code('show(SingleBlock.forward)','["remove-input"]'))
add(md(r'''Ours has two double and four single blocks, of {glue:text}`flux-millions` million weights; Flux.1 has 19 and 38, of 12 billion. `Flux.from_pretrained` (in `companion.image.flux`) reads Flux.1's transformer in diffusers' format, with equal outputs.

Who looks at whom? Take pictures of two things, mix their latents with as much noise, $t = 1/2$, and look at the attention of all blocks. Two questions: how is it shared out? And does a token look more at the word of the thing that it shows than at the other thing's word?'''))
add(code('''some = scenes(run.pick(smoke=12, laptop=160, workstation=800), run.generator(9))
two = [
    i
    for i, s in enumerate(some.scenes)
    if s.relation and len({n.split()[-1] for n in s.names}) == 2
]
told = [some.captions[i] for i in two]
clean = painter.latents.encode(run.to(some.images[two]))
half = torch.full((len(two),), 0.5, device=clean.device)
noise = painter.noise(len(two), run.generator(10))''','["hide-input"]'))
add(code('''noisy = q_sample(path, clean, half, noise)
words = painter.condition(told)
maps = joint_attention(painter.net, noisy, half, *words).cpu()
maps = maps.mean(2)  # over heads: (blocks, pictures, all, all)'''))
add(code('''quarters = {
    "words at words": maps[:, :, :12, :12],
    "words at picture": maps[:, :, :12, 12:],
    "picture at words": maps[:, :, 12:, :12],
    "picture at picture": maps[:, :, 12:, 12:],
}
shares = {name: part.sum(-1).mean((1, 2)) for name, part in quarters.items()}
for name, share in shares.items():
    print(f"{name:19}", *(f"{one:4.0%}" for one in share))''',HN))
add(code('''def cells(thing):
    """The image tokens whose middle is in a thing's square."""
    middle = 4 * torch.arange(8) + 2
    rows, columns = (
        (middle >= a) & (middle < a + thing.size) for a in (thing.y, thing.x)
    )
    return (rows[:, None] & columns).flatten()


def wins(block):
    """How often the own word is looked at more than the other's."""
    found = []
    for k, i in enumerate(two):
        words = ["start", *told[k].split()]
        looks = block[k, 12:, :12] / block[k, 12:, :12].mean(0)
        rows = [words.index(n.split()[-1]) for n in some.scenes[i].names]
        for own, thing in enumerate(some.scenes[i].things):
            at = looks[cells(thing)].mean(0)
            found.append(bool(at[rows[own]] > at[rows[1 - own]]))
    return sum(found), len(found)


own = [wins(block) for block in maps]
print("own word more than the other's:", *(f"{a / b:4.0%}" for a, b in own))''','["hide-input", "nbval-ignore-output"]'))
add(fig('''figure, axes = plt.subplots(3, 7, figsize=(6.6, 3.2))
for k, row in enumerate(axes):
    words = ["start", *told[k].split()]
    picture = some.images[two[k]] / 2 + 0.5
    row[0].imshow(picture.permute(1, 2, 0))
    name = some.scenes[two[k]].names[0].split()[-1]
    row[0].set_title(f"“{name}”", fontsize=8)
    for b, ax in enumerate(row[1:]):
        looks = maps[b, k, 12:, words.index(name)]
        ax.imshow(looks.reshape(8, 8))
        if k == 0:
            ax.set_title(("double", "single")[b > 1] + f" {b + 1 - 2 * (b > 1)}", fontsize=8)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()''',"Three pictures, and how much each image token looks at the word above them, block by block. Bright is much; each map has its own scale.","fig-flux-maps","Three rows: a picture of two things and six maps of 8 by 8 places, one for each block; in some of the blocks the named thing's places are bright."))
add(claim('''best = max(range(len(own)), key=lambda b: own[b][0])
claim(
    "3.6-flux-c",
    "In the block in which most do, the tokens of more than three things "
    "of four look more at their own word than at the other's; a caption's "
    "two things are compared alike, so chance is a half. In every block "
    "the words look at the picture, too, with at least a tenth of their "
    "attention.",
    wilson(*own[best]).low > 0.75
    and float(shares["words at picture"].min()) > 0.1,
)'''))
add(code('''size = sum(p.numel() for p in painter.net.parameters())
glue("flux-millions", size / 1e6, "{:.1f}")
glue("flux-own", own[best][0] / own[best][1], "{:.0%}")''',GL))
add(md(r'''In its best block {glue:text}`flux-own` of the things are looked at so. The second share is what a U-Net with cross-attention cannot have: there the words' states stay what the text tower said; here they change with the picture.

## When words matter

Esser et al. draw training times from a *logit-normal* law, $t = \operatorname{sigmoid}(m + s\,n)$ with $n$ standard normal: few at the ends, where the best answer is easy, most between {cite:p}`esser2024sd3`. Ours has $m = -0.8$ and $s = 1.6$, more times near the noise. Where does the caption help? The loss of the velocity with the right caption, with the empty one, and with another picture's:'''))
add(code('''clean = painter.latents.encode(run.to(held.images))
n = len(clean)
wordings = {
    "right": held.captions,
    "none": [""] * n,
    "another's": [*held.captions[1:], held.captions[0]],
}
grid = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95)''','["hide-input"]'))
add(code('''@torch.no_grad()
def loss_at(t, captions):
    times = torch.full((n,), t, device=clean.device)
    noise = painter.noise(n, run.generator(11))
    z_t = q_sample(path, clean, times, noise)
    u = painter.net(z_t, times, *painter.condition(captions))
    return float((u - (clean - noise)).square().mean())


losses = {
    name: [loss_at(t, told) for t in grid] for name, told in wordings.items()
}'''))
add(code('''print("t          ", *(f"{t:6.2f}" for t in grid))
for name, row in losses.items():
    print(f"{name:11}", *(f"{one:6.3f}" for one in row))''',HN))
add(claim('''gain = [b - a for a, b in zip(losses["right"], losses["none"], strict=True)]
claim(
    "3.6-flux-d",
    "At noise the right caption takes away more than half of the loss "
    "without one, next to the data less than a tenth; another picture's "
    "caption harms at every time.",
    gain[0] > 0.5 * losses["none"][0]
    and gain[-1] < 0.1 * losses["none"][-1]
    and all(
        a > b
        for a, b in zip(losses["another's"], losses["none"], strict=True)
    ),
)'''))
add(md(r'''Next to the data the picture says itself what it shows; at noise only the words do. That is one reason for many training times near the noise in a model that must follow words, and for a sampler's small steps there ({eq}`eq-sd-shift` with $s = 3$, as in the lesson before).

## The same captions, two denoisers

The U-Net of {ref}`3-6-stable-diffusion` has the same text tower, autoencoder, scenes and batches. It has a quarter more weights and was trained for 12,000 updates, our transformer for two rounds of 8,000. Both draw the held-out captions from the same noise.'''))
add(code('''rival = run.to(stable_diffusion_scenes.load())
sheets = {
    name: one.text_to_image(held.captions, run.generator(12), steps=steps)
    for name, one in (("Flux", painter), ("U-Net", rival))
}'''))
add(code('''right = {}
for name in ("Flux", "U-Net"):
    marks = score(sheets[name], held.scenes)
    right[name] = float(marks.all.float().mean())
    explained = [r.explained for r in read_scenes(sheets[name])]
    shares = marks.shares()
    row = [shares[k] for k in ("background", "things", "relation", "all")]
    print(
        f"{name:6} ground, things, relation, all right:",
        *(f"{s:.2f}" for s in row),
        f" things explain {sum(explained) / len(explained):.2f}",
    )''',HN))
add(fig('''show_images(
    torch.cat([sheets[name][:8] for name in sheets]).cpu(),
    8,
    rows=list(sheets),
)''',"The same eight held-out captions and the same noise, drawn by the two denoisers.","fig-flux-rival","Two rows of eight pictures that show the same things, in other places and sizes."))
add(claim('''claim(
    "3.6-flux-e",
    "Of held-out captions the transformer draws at least 85 % right in "
    "all respects.",
    right["Flux"] >= 0.85,
)'''))
add(code('''glue("flux-right", right["Flux"], "{:.0%}")
glue("flux-unet", right["U-Net"], "{:.0%}")''',GL))
add(md(r'''The transformer draws {glue:text}`flux-right` right, the U-Net {glue:text}`flux-unet`. With one training of each, of unlike lengths, that ranks neither. On the way the U-Net was ahead: after 8,000 updates it drew all of 48 held-out captions right, the transformer about three quarters ([](../log.md)). What a convolution has built in, that neighbours belong together, a transformer has to learn; whether this is why, we have not asked.

## One call in place of two

Guidance asks the network twice a step, with words and without. A *student* can be told the strength $w$ as one more number beside the time, and learn to answer at once what the teacher answers in two passes {cite:p}`meng2022guided`:

$$
L = E \big\| u_\text{student}(x_t, t, c, w) -
\big(u_\varnothing + w\,(u_c - u_\varnothing)\big) \big\|^2 .
$$ (eq-flux-guidance)

Black Forest Labs call one of their models, "dev", guidance-distilled {cite:p}`bfl2024flux`. Our student starts as a copy of its teacher, deaf to $w$, and learns for a minute.'''))
add(code('show(GuidanceDistillationLoss.__call__)','["remove-input"]'))
add(code('''teacher = painter.net
null = painter.condition([""])
fresh = recipe.examples(run.pick(smoke=40, laptop=500, workstation=20_000), SEED)


def batch(n, generator):
    return tuple(map(run.to, fresh(n, generator)))


short = TrainConfig(
    steps=run.pick(smoke=2, laptop=50, workstation=1000),
    batch_size=run.pick(smoke=4, laptop=24, workstation=64),
    optimizer="muon",
    lr=2e-3,
    warmup=0.1,
    final_lr=0.05,
    seed=SEED,
)''','["hide-input"]'))
add(code('''times = stable_diffusion_scenes.TIMES
lesson = GuidanceDistillationLoss(
    path, teacher, null, Uniform(1.0, 5.0), times
)
student = run.to(student_of(teacher, guidance=True))
student = train(student, lesson, batch, short).model.eval()'''))
add(code('''once = replace(painter, net=Told(student, guidance=3.0))
sheets["one call"] = once.text_to_image(
    held.captions, run.generator(12), scale=1.0, steps=steps
)'''))
add(code('''def error_of(net, scale):
    """Squared error against guidance at a strength, as a share."""
    z_t = q_sample(path, clean, at, painter.noise(n, run.generator(13)))
    told = painter.condition(held.captions)
    with torch.no_grad():
        wanted = guided(teacher, told, scale, null=null)(z_t, at)
        plain = teacher(z_t, at, *told)
        given = net(z_t, at, *told)
    apart = (plain - wanted).square().mean()
    return float((given - wanted).square().mean() / apart)


at = torch.linspace(0.02, 0.9, n, device=clean.device)
left = {w: error_of(Told(student, guidance=w), w) for w in (2.0, 3.0, 4.5)}
sheets["no guidance"] = painter.text_to_image(
    held.captions, run.generator(12), scale=1.0, steps=steps
)
for name in ("one call", "no guidance"):
    right[name] = float(score(sheets[name], held.scenes).all.float().mean())
    print(f"{name}: {right[name]:.0%} right in all respects")
for w, share in left.items():
    print(f"w = {w}: {share:.0%} of what guidance changes is missed")''',HN))
add(fig('''names = ("Flux", "one call", "no guidance")
show_images(
    torch.cat([sheets[name][:8] for name in names]).cpu(),
    8,
    rows=["two calls", "one call", "no guidance"],
)''',"Guidance 3 in two calls a step; the student that is told so, in one; the teacher without guidance.","fig-flux-once","Three rows of eight pictures; the first two rows show nearly the same pictures."))
add(claim('''claim(
    "3.6-flux-f",
    "The student misses less than a third of what guidance changes, at "
    "each of three strengths, in squared error; its teacher without "
    "guidance misses all of it, by definition.",
    max(left.values()) < 1 / 3,
)'''))
add(md(r'''## One step

A student may learn the steps as well. A *shortcut model* {cite:p}`frans2024shortcut` is told how many steps $n$ the whole way takes, and answers what has to be said so that one step arrives. It has two teachers. At sixteen steps: the guided teacher. At fewer: itself, at twice as many. Two of its steps, from $t$ by way of $m$ to $s$, were gone with velocities $u_1$ and $u_2$. With which velocity does one step arrive there?'''))
add(code('''def one_for_two(u_1, u_2, t, m, s):
    # times t < m < s
    ...


one_for_two = attempt("3.6-flux-3", one_for_two)''','["try"]'))
add(hint('How far does each go, and how long does it take?','''def one_for_two(u_1, u_2, t, m, s):
    return ((m - t) * u_1 + (s - m) * u_2) / (s - t)'''))
add(code('show(ShortcutLoss.__call__)','["remove-input"]'))
add(md(r'''(`answer_for` is your formula for any path, in data instead of velocities.) There are other ways to one step. *MeanFlow* {cite:p}`geng2025meanflow` learns the same mean velocity from its derivative, which takes products with Jacobians that fast attention lacks; a shortcut needs two more passes and nothing else, which is why we chose it. Flux's fast version, "schnell", was made with a discriminator, its makers say {cite:p}`bfl2024flux`. The shipped student was trained for {glue:text}`flux-updates` updates from the shipped teacher. Predict: in one step, how many held-out captions will it draw right in all respects? And its teacher?'''))
add(ask('prediction_one = ...  # the student, one step, a share'))
add(code('''def in_steps(name, k):
    """Held-out captions in k steps: guided teacher, or shortcut."""
    if name == "teacher":
        return painter.text_to_image(
            held.captions, run.generator(12), steps=k
        )
    return run.to(flux_shortcut_scenes.load(k)).text_to_image(
        held.captions, run.generator(12), scale=1.0, steps=k
    )'''))
add(code('''curve = {"teacher": {}, "shortcut": {}}
for k in (1, 2, 4, 8):
    for name, row in curve.items():
        sheets[name, k] = in_steps(name, k)
        marks = score(sheets[name, k], held.scenes)
        row[k] = float(marks.all.float().mean())
    print(
        f"{k} steps: teacher {curve['teacher'][k]:4.0%} in {2 * k} calls, "
        f"shortcut {curve['shortcut'][k]:4.0%} in {k}"
    )''',HN))
add(code('predicted(prediction_one, curve["shortcut"][1], "{:.0%}")',HN))
add(fig('''rows = [("teacher", 1), ("teacher", 2), ("shortcut", 1), ("shortcut", 4)]
show_images(
    torch.cat([*(sheets[row][:8] for row in rows), sheets["Flux"][:8]]).cpu(),
    8,
    rows=[f"{name}, {k}" for name, k in rows] + ["teacher, 12"],
)''',"The same captions and noise, by number of steps. The teacher makes two calls a step, the shortcut one.","fig-flux-steps","Five rows of eight pictures: the teacher in one step gives blurs, in two blurred things; the shortcut model in one step gives things, in four clear ones; the last row is the teacher in twelve steps."))
add(claim('''claim(
    "3.6-flux-g",
    "At one, two and four calls the shortcut draws more captions right "
    "than the teacher does with as many calls or, at one call, with two.",
    curve["shortcut"][1] > curve["teacher"][1]
    and curve["shortcut"][2] > curve["teacher"][1]
    and curve["shortcut"][4] > curve["teacher"][2],
)'''))
add(code('''glue("flux-one", curve["shortcut"][1], "{:.0%}")
glue("flux-four", curve["shortcut"][4], "{:.0%}")
glue("flux-teacher-two", curve["teacher"][2], "{:.0%}")
glue("flux-updates", flux_shortcut_scenes.STEPS, "{:,}")''',GL))
add(md(r'''With one call {glue:text}`flux-one` come right, with four {glue:text}`flux-four`; the teacher's two steps, which are four calls, {glue:text}`flux-teacher-two`. The student's first step must say at once, for noise, a whole picture; there is no later look to correct it.'''))
open("/tmp/w/fl/part1.txt","w").write("\n".join(out))
add(md(r'''## What goes wrong

**Guided twice.** A distilled model has guidance inside. Whoever leaves the pipeline's scale at 3 guides what is guided.

**Time the other way.** In diffusers, and in Flux's own code, time 1 is noise and the answer points from data to noise; here time 0 is noise. Tell our network the other time, and it takes noise for a finished picture.'''))
add(code('''class Backwards(torch.nn.Module):
    """A denoiser that is told the time as others count it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z_t, t, *told):
        return self.net(z_t, 1 - t, *told)


wrong = {
    "right": once.text_to_image(
        held.captions, run.generator(12), scale=1.0, steps=steps
    ),
    "guided twice": once.text_to_image(
        held.captions, run.generator(12), scale=3.0, steps=steps
    ),
    "time reversed": replace(painter, net=Backwards(teacher)).text_to_image(
        held.captions, run.generator(12), steps=steps
    ),
}
clear = {}
for name, sheet in wrong.items():
    clear[name] = torch.tensor([r.explained for r in read_scenes(sheet)])
    kept = float(score(sheet, held.scenes).all.float().mean())
    mean = clear[name].mean()
    print(f"{name:14} {kept:4.0%} right, things explain {mean:.2f}")''',HN))
add(fig('''show_images(
    torch.cat([sheet[:8] for sheet in wrong.values()]).cpu(),
    8,
    rows=list(wrong),
)''',"What the student draws, what it draws when guided once more, and what the teacher draws if time is told from the wrong end.","fig-flux-wrong","Three rows of eight pictures: clear ones, garish ones, and formless ones."))
add(claim('''claim(
    "3.6-flux-h",
    "Guided twice, things explain less in three pictures of four. With "
    "time reversed fewer than one caption in ten comes right.",
    float((clear["guided twice"] < clear["right"]).float().mean()) > 0.75
    and float(
        score(wrong["time reversed"], held.scenes).all.float().mean()
    )
    < 0.1,
)'''))
add(md(r'''## How today's systems differ

Flux.1 has 19 double and 38 single blocks of width 3,072, 12 billion weights; it reads two text towers, the words of a T5 with 4.7 billion weights and the pooled text of a CLIP, and latents of 16 channels {cite:p}`bfl2024flux`. FLUX.2 (2025) has one text tower, a language model that sees pictures as well, and takes several pictures as input {cite:p}`hf2025flux2`; it has fewer double and more single blocks. Stable Diffusion 3 has double blocks alone {cite:p}`esser2024sd3`. DALL-E 3's and Imagen 3's insides are not published, but for what the chapter says of them. One-step models of today are trained in many ways; which is best changes by the month.

## Summary

Straight lines between strangers make bent ways, since a network can say only their mean; trained again on its own pairs, a flow straightens, and one step does. What a network should predict depends on the room: data fill few dimensions, noise fills all. Flux puts words and image tokens into one attention, first with weights of their own and then with the same, and both change from block to block. The caption matters most near the noise. Guidance can be distilled into one call, and steps into one, at a loss.

## Exercises

The graded assignment of this chapter is {ref}`assignment-3-6`. To try here:'''))
def ex(n,q,h,s,after):
    add(md(f"```{{exercise}}\n:label: ex-flux-{n}\n\n{q}\n```\n\n<details>\n<summary>Hint</summary>\n\n{h}\n\n</details>\n<details>\n<summary>Solution</summary>\n\n```python\n{s}\n```\n\n{after}\n\n</details>"))
ex(1,"Is it the narrow layers? Give the network of the hidden plane 512 numbers in each hidden layer, and let it predict the velocity in 128 dimensions.","`PointNet(128, 512)`; the rest of the cell stays. It takes a minute.",'''p = plane(128, run.generator(7))
torch.manual_seed(SEED)
loss = DenoisingLoss(path, "velocity", times=Uniform(0.02, 0.98))
net = train(PointNet(128, 512), loss,
            lambda n, g: (spiral(n, g) @ p.T,), how).model.eval()
noise = torch.randn(500, 128, generator=run.generator(8))
ends = ddim_sample(flow(net), path, noise, [*within, 1.0])
print(distance_to_spiral(ends @ p).mean(),
      (ends - ends @ p @ p.T).norm(dim=1).mean())''',"They ended 0.39 from the spiral in the plane and 1.9 from the plane, where 64 hidden numbers leave 9.8: wider layers help, and are not enough after 800 updates.")
ex(2,"Reflow again: train a third flow on the pairs of the second. What becomes of S, and of the distance to the spiral?","`made`, with the second flow in place of the first.",'''ends = ddim_sample(flow(flows["reflowed"]), path, pairs, 50)

def again(n, generator):
    rows = torch.randint(len(pairs), (n,), generator=generator)
    return pairs[rows], ends[rows]

third = train(deepcopy(flows["reflowed"]), ReflowLoss(), again, how).model
print(straightness(*ways(flow(third), z, 50)))
for n in (1, 50):
    print(distance_to_spiral(ddim_sample(flow(third), path, z, n)).mean())''',"S fell from 0.006 to 0.001; after one step the distance was 0.14 and after fifty 0.13, as before. What was nearly straight gets straighter, and the errors of two flows are handed on.")
ex(3,"What do small steps near the noise bring? Draw the held-out captions in four steps, with shift 1 (equal steps), 3 and 9.","`replace(painter, shift=...)`.",'''for shift in (1.0, 3.0, 9.0):
    one = replace(painter, shift=shift)
    sheet = one.text_to_image(held.captions, run.generator(12), steps=4)
    whole = [reading.explained for reading in read_scenes(sheet)]
    print(shift, score(sheet, held.scenes).shares()["all"],
          sum(whole) / len(whole))''',"@@EX3@@")
ex(4,"The student of guidance learned strengths from 1 to 5. Ask it for 8: how much of what guidance changes does it miss there?","`error_of`.",'''for w in (5.0, 8.0):
    print(w, error_of(Told(student, guidance=w), w))''',"@@EX4@@")
open("/tmp/w/fl/lesson.py","w").write("\n".join(out))
