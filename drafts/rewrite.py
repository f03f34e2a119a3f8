import copy, nbformat
from nbformat.v4 import new_markdown_cell as md, new_code_cell as cc
P='/work/gan/book/3_06_image/gan.ipynb'
nb=nbformat.read('/tmp/w/gan4/old.ipynb',4); old=nb.cells
def keep(i,*pairs):
    c=copy.deepcopy(old[i])
    for a,b in pairs:
        assert c.source.count(a)==1,(i,a,c.source.count(a)); c.source=c.source.replace(a,b)
    return c
def M(s): return md(s.strip("\n"))
def C(s,*tags,fig=None,cap=None,alt=None,claim=False):
    c=cc(s.strip("\n")); 
    if tags or claim: c.metadata["tags"]=list(tags)+(["hide-input"] if claim and "hide-input" not in tags else [])
    if fig: c.metadata["mystnb"]={"figure":{"caption":cap,"name":fig},"image":{"alt":alt}}
    if claim: c.metadata["mystnb"]={"code_prompt_hide":"How this is checked","code_prompt_show":"How this is checked"}
    return c
out=[]
out.append(keep(0,
("You will see in a game of two numbers why it circles, compute from eigenvalues what brings it to rest, climb from DCGAN to the loss of R3GAN one change at a time, and *count* what a generator leaves out, on pictures that have exactly 1,000 kinds.",
 "You will follow a game of two numbers and say from eigenvalues where it goes; *count* what a generator leaves out, on pictures that have exactly 1,000 kinds, and see that counting is not enough; climb from DCGAN to R3GAN one change at a time; and test what precision, recall and truncation say."),
))
out.append(old[1])
s=keep(2)
s.source='''
import matplotlib.pyplot as plt
import torch
from companion.data import digits
from companion.data.stacked import MODES, Stacks, channels
from companion.diagrams import Arrow, Box, Diagram
from companion.exercises.tries import attempt
from companion.image.gan.checkerboard import (
    overlap,
    painted,
    phase_variance,
)
from companion.image.gan.dcgan import LATENT
from companion.image.gan.dirac import eigenvalues, orbit
from companion.image.gan.game import Game
from companion.image.gan.ladder import (
    RATES,
    RUNGS,
    measured,
    players,
    shipped_climbs,
)
from companion.image.gan.latents import truncated, walk
from companion.image.gan.r3gan import Block
from companion.image.gan.reading import features, read, read_nearest
from companion.lesson import claim, glue, predicted, setup, show
from companion.metrics.class_coverage import coverage, floor
from companion.metrics.precision_recall import precision_recall
from companion.models import gan_stacked
from companion.plotting import BLACK, BLUE, GREEN, ORANGE, RED, show_images
from companion.training import TrainConfig, train
from companion.training.random import randn
from torch import nn

SEED = 0
BUDGET = "laptop"
'''.strip()
out.append(s); out.append(old[3])
out.append(keep(4,("Below each pair of rows stands one picture taken apart.","Below each pair of rows the first four are taken apart.")))
out+= [old[5],keep(6,)]
out.append(keep(7,
("Whoever reads the three digits knows the mode. A generator that draws only a few modes can no longer hide it.","Whoever reads the three digits knows the mode."),
("With the loss of 2014, $\\sigma$ the logistic function and a penalty of weight $\\gamma$ on the slope, they descend",
 "With the loss of 2014 and a penalty of weight $\\gamma$ on the slope, the critic descends $L_D = s(-D(0)) + s(D(\\theta)) + \\gamma\\psi^2/2$ and the generator $L_G = s(-D(\\theta))$, where $s(t) = \\log(1 + e^t)$. With $\\sigma$, the logistic function, the derivatives are"),
))
out+= [old[8],old[9],old[10],old[11],old[12],old[13]]
out.append(keep(14,
("Each does what is best against the other as it stands, and so both chase each other around the place where they should meet. (Far from it this loss draws a little inwards by itself, so the orange spiral ends on a larger ring.)",
 "Each steps downhill on its own loss, with the other as it stands, and so both chase each other around the place where they should meet. (Far from it this loss draws a little inwards by itself, so the orange spiral goes over into a larger ring, outside this picture.)"),
("Near the solution $\\sigma$ is $1/2$, and a round multiplies $(\\theta, \\psi)$ by a matrix. With rate $h$ its determinant $d$ and trace $t$ are, by turns,",
 "Near the solution $\\sigma$ is $1/2$, and a round multiplies $(\\theta, \\psi)$ by a matrix, by turns and with rate $h$\n\n$$\n\\begin{pmatrix} 1 - h^2/4 & (h/2)(1 - h\\gamma) \\\\ -h/2 & 1 - h\\gamma \\end{pmatrix}.\n$$ (eq-gan-dirac-matrix)\n\nIts determinant $d$ and trace $t$ are"),
("By turns without a penalty that is exactly 1: a circle.","By turns without a penalty that is exactly 1: an ellipse, nearly a circle."),
("A penalty pulls $d$ below 1. Each round then shrinks the distance by $\\sqrt{1 - h\\gamma}$.","A penalty pulls $d$ below 1, and on average a round by turns shrinks the distance by $\\sqrt{1 - h\\gamma}$. Too large a penalty overshoots: at this rate the pair runs away from about $\\gamma = 5$."),
))
out+= [old[15],old[16]]
out.append(keep(17,("Only differences count. To lower its loss, the generator must raise *each* drawn picture above the real one beside it.","Only differences count: the generator's loss falls as a drawn picture's score rises above that of the real one beside it."),
("With $s(t) = \\log(1 + e^t)$ and $\\tilde x = G(z)$","With $\\tilde x = G(z)$, $z$ the noise,")))
out.append(old[18]); out.append(old[19]); out.append(old[20])
out.append(keep(21,("DCGAN (2015) was the first recipe by which convolutional GANs trained reliably {cite:p}`radford2015dcgan`:","With DCGAN (2015) convolutional GANs became stable to train in most settings {cite:p}`radford2015dcgan`:")))
out.append(C('''
Diagram(
    [
        Box("z", 0, 0, "noise z", "data"),
        Box("a", 0, 1, "transposed 4×4"),
        Box("n", 0, 2, "norm, ReLU", "plain"),
        Box("b", 0, 3, "transposed, ×2"),
        Box("m", 0, 4, "norm, ReLU", "plain"),
        Box("c", 0, 5, "transposed, ×2"),
        Box("y", 0, 6, "tanh: picture", "data"),
        Box("x", 1.15, 0, "picture", "data"),
        Box("d", 1.15, 1, "stride 2"),
        Box("l", 1.15, 2, "leaky ReLU", "plain"),
        Box("e", 1.15, 3, "stride 2"),
        Box("k", 1.15, 4, "norm, leaky ReLU", "plain"),
        Box("f", 1.15, 5, "conv 4×4"),
        Box("s", 1.15, 6, "score", "data"),
    ],
    [
        Arrow("z", "a", "64"),
        Arrow("a", "n", "96 × 4 × 4"),
        Arrow("n", "b", "96 × 4 × 4"),
        Arrow("b", "m", "48 × 8 × 8"),
        Arrow("m", "c", "48 × 8 × 8"),
        Arrow("c", "y", "3 × 16 × 16"),
        Arrow("x", "d", "3 × 16 × 16"),
        Arrow("d", "l", "24 × 8 × 8"),
        Arrow("l", "e", "24 × 8 × 8"),
        Arrow("e", "k", "48 × 4 × 4"),
        Arrow("k", "f", "48 × 4 × 4"),
        Arrow("f", "s", "1"),
    ],
)
''',"hide-input",fig="fig-gan-dcgan",cap="DCGAN at 16×16 pixels, as it is trained below. Each arrow says what goes through.",alt="Two columns of boxes. Left, generator: noise, transposed convolution, norm and rectifier, twice a transposed convolution that doubles, tanh, picture. Right, critic: picture, two strided convolutions with leaky rectifiers, one norm, convolution, score."))
out+= [old[23],old[24],old[25],old[26],old[27],old[28]]
out.append(M('''
This is where the *checkerboards* in pictures of many GANs begin {cite:p}`odena2016deconvolution`. Training can undo them, but has to learn it. A kernel that the stride divides has even counts; we take 4. Where R3GAN doubles a grid it interpolates and puts a plain convolution behind.

## Two numbers for a generator

**What is left out.** Read each colour of a drawn picture as the known digit that is nearest to it; the three are its mode. Count how many of the 1,000 modes occur among many pictures, and the divergence of their frequencies $p$ from equal ones,

$$
\\mathrm{KL}(p \\,\\|\\, u) = \\sum_{k=1}^{1000} p_k \\log (1000\\, p_k) .
$$ (eq-gan-kl)

Write it, from the numbers of the modes of $n$ pictures. (`torch.xlogy` knows that $0 \\log 0 = 0$.)
'''))
out.append(old[30])
out.append(keep(31,("Even a perfect generator does not reach 0: of $n$ draws from the uniform law a few modes are missing by chance, and the mean divergence is about $999 / 2n$. So we ask 5,000 pictures of *held-out* digits first.",
"Even a perfect generator does not reach 0: of $n$ draws from the uniform law a few modes are missing by chance, and the mean divergence is about $999 / 2n$. So we first ask 5,000 pictures of *held-out* digits. And we ask a *smear*: Gaussian numbers with the mean and the covariance of the pictures' 768 numbers, and nothing else of them.\n\nPredict: how many of the 1,000 modes will be found in the smear?")))
out.append(C('''
prediction_smear = ...
''',"predict"))
out.append(C('''
n = run.pick(smoke=200, laptop=5_000, workstation=26_000)
flat = known.draw(5_000, run.generator(3))[0].flatten(1)
root = torch.linalg.cholesky(flat.T.cov() + 1e-4 * torch.eye(768))
noise = randn((n, 768), run.generator(4))
smear = flat.mean(0) + noise @ root.T
sets = {
    "held-out": held.draw(n, run.generator(5))[0],
    "smear": smear.view(-1, 3, 16, 16).clamp(-1, 1),
}
chance = floor(n, MODES)
print(f"expected {chance.found:.0f} modes, KL {chance.kl:.2f}")
found = {
    name: coverage(read_nearest(images, known.digits), MODES)
    for name, images in sets.items()
}
for name, spread in found.items():
    print(f"{name:8s} {spread.found:.0f} modes, KL {spread.kl:.2f}")
'''))
out.append(C('''
predicted(prediction_smear, found["smear"].found, "{:.0f}")
''',"hide-input"))
out.append(C('''
apart = [channels(x[:4]).expand(-1, 3, -1, -1) for x in sets.values()]
rows = [sets["held-out"][:12], apart[0], sets["smear"][:12], apart[1]]
show_images(torch.cat(rows), 12, rows=["held-out", "apart", "smear", "apart"])
''',"hide-input",fig="fig-gan-smear",cap="Held-out digits, and a Gaussian with the mean and the covariance of such pictures. The narrow rows show the first four colour by colour.",alt="Four rows of twelve. Held-out digits overlap in bright colours and are clear when taken apart. The smear's pictures look alike in colour; apart they are grey clouds, in some of which one may guess a digit."))
out.append(M('''
Whoever counts modes by asking "which digit is nearest?" gets an answer for a smear, too. **What it looks like** needs a second number. We take the Fréchet distance of {ref}`3-6-ddpm` between single colours and known digits, in the features of a judge: the last layer but one, 64 numbers, of a network that was trained to recognise digits. (Its *confidence* would not do: it knows nothing but digits, and is sure of noise.)
'''))
out.append(C('''
numbers = {name: measured(images, known) for name, images in sets.items()}
for name, (_, _, distance) in numbers.items():
    print(f"{name:8s} distance {distance:.0f}")
'''))
out.append(C('''
claim(
    "3.6-gan-c",
    "The smear has more than 900 of the 1,000 modes at a divergence below "
    "0.3 nats; its distance is more than 20 times that of held-out digits.",
    found["smear"].found > 900
    and found["smear"].kl < 0.3
    and numbers["smear"][2] > 20 * numbers["held-out"][2],
)
''',claim=True))
out.append(M('''
## A game, watched

Now a game: pairs, both penalties, DCGAN's layers without norm. At six moments we take both numbers of 2,000 drawn pictures.
'''))
out.append(C('''
rounds = run.pick(smoke=6, laptop=180, workstation=6_000)
how = TrainConfig(
    2 * rounds,  # two turns a round
    batch_size=32,
    lr=4e-3,
    warmup=0.02,
    weight_decay=0.0,
    betas=(0.0, 0.99),
    clip=1e4,
    ema=0.98,
    seed=run.seed,
)


def look(players):
    images = players.draw(run.pick(20, 2_000, 5_000), run.generator(6)).cpu()
    return dict(zip(("modes", "KL", "distance"), measured(images, known)))


pair = run.to(players("plain", run.seed))
game = RUNGS["pairs, R1, R2"].game
result = train(
    pair, game, known.draw, how, evaluate=look, evaluate_every=rounds // 3
)
''',"nbval-ignore-output"))
out.append(C('''
critic, generator = (
    torch.tensor(result.history.loss[turn::2]) for turn in (0, 1)
)
after = [step // 2 for step in result.history.evaluated_at]
seen = result.history.evaluations
figure, (left, right) = plt.subplots(1, 2, figsize=(6.8, 2.8))
for loss, color, name in (
    (critic, ORANGE, "critic"),
    (generator, BLUE, "generator"),
):
    left.plot(loss, color=color, linewidth=0.8, label=name)
left.set(xlabel="rounds", ylabel="loss")
left.legend()
right.plot(after, [e["modes"] for e in seen], "o-", color=GREEN)
right.set(xlabel="rounds", ylabel="modes found", ylim=(0, 1000))
other = right.twinx()
other.plot(after, [e["distance"] for e in seen], "s-", color=RED)
other.set(ylabel="distance", ylim=(0, None))
other.grid(visible=False)
figure.tight_layout()
plt.show()
''',"hide-input",fig="fig-gan-watched",cap="One training. Left: both losses. Right: modes found (green dots, left axis) and distance from known digits (red squares, right axis).",alt="Left, two jagged curves: the critic's stays low and level, the generator's falls slowly, far above it. Right, the green curve of modes climbs steeply and the red curve of the distance falls steeply."))
out.append(C('''
part = max(1, rounds // 9)
early, late = (
    [float(loss[at - part : at].mean()) for loss in (critic, generator)]
    for at in (after[0], after[-1])
)
claim(
    "3.6-gan-d",
    "From the first look to the last the distance falls to less than half "
    "and the modes more than double; the critic's mean loss changes by less "
    "than a third.",
    seen[-1]["distance"] < 0.5 * seen[0]["distance"]
    and seen[-1]["modes"] > 2 * seen[0]["modes"]
    and 2 / 3 < late[0] / early[0] < 3 / 2,
)
''',claim=True))
out.append(M('''
LOSSTEXT

## The ladder
'''))
nb.cells=out
nbformat.write(nb,'/tmp/w/gan4/part1.ipynb')
print(len(out))
