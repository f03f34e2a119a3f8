exec(open('/tmp/w/gan4/alts.py').read())
exec(open('/tmp/w/gan4/rewrite.py').read().split("nb.cells=out")[0])
out[-1]=M(open('/tmp/w/gan4/t_ladder.md').read())
out.append(C('''
prediction_ladder = ...  # the rung with the smallest distance
''',"predict"))
out.append(C('''
climbs = {climb.rung: climb for climb in shipped_climbs()}
for rung in RUNGS:
    c = climbs[rung]
    print(f"{rung:13s} {c.modes:4.0f} modes, KL {c.kl:.2f}", end="")
    print(f", distance {c.distance:4.0f}")
'''))
out.append(C('''
best = min(climbs.values(), key=lambda climb: climb.distance)
predicted(prediction_ladder, f"{best.rung}, {best.distance:.0f}")
''',"hide-input"))
out.append(C('''
figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.9), sharey=True)
places = range(len(RUNGS), 0, -1)
for ax, field, name, base in (
    (axes[0], "kl", "KL (nats)", [spread.kl for spread in found.values()]),
    (axes[1], "distance", "distance", [d for *_, d in numbers.values()]),
):
    values = [getattr(climbs[rung], field) for rung in RUNGS]
    ax.barh(places, values, 0.7, color=BLUE)
    for value, line in zip(base, (":", "--"), strict=True):
        ax.axvline(value, color=BLACK, linewidth=1, linestyle=line)
    ax.set(xlabel=name)
    ax.grid(axis="y", visible=False)
axes[0].set_yticks(places, [*RUNGS])
figure.tight_layout()
plt.show()
''',"hide-input",fig="fig-gan-ladder",cap="Divergence and distance of each rung; less is better. Dotted: held-out digits. Dashed: the smear.",alt=ALTLADDER))
exec(open('/tmp/w/gan4/c_ladder.py').read())
out.append(M(open('/tmp/w/gan4/t_ladder2.md').read()))
out.append(keep(49))
out.append(M(open('/tmp/w/gan4/t_count.md').read()))
out.append(C('''
many, totals = run.pick(smoke=100, laptop=10_000, workstation=26_000), {}
with torch.no_grad():
    z = randn((many, LATENT), run.generator(8), real)
    sample = torch.cat([shipped(part) for part in z.split(500)])
sets["drawn"] = sample.clamp(-1, 1).cpu()
for name, images in sets.items():
    modes, kl, distance = measured(images, known)
    sure = read(run.to(images[:1000])).sure
    totals[name] = (modes, kl, distance, sure)
    print(f"{name:8s} {modes:.0f} modes, KL {kl:.2f}", end="")
    print(f", distance {distance:.0f}, judge sure of {sure:.0%}")
''',"nbval-ignore-output"))
exec(open('/tmp/w/gan4/c_count.py').read())
out.append(M(open('/tmp/w/gan4/t_pr.md').read()))
out.append(old[60]); 
out.append(keep(61,("*Truncation* {cite:p}`brock2018biggan` is meant to turn a knob between the two after training: draw each number of $z$ anew until it lies within $\\pm t$. Less variety, better pictures, as the middle is where the generator is at home. Predict for our generator: as $t$ shrinks, what happens to precision, and what to recall?",
"Before any number of a generator: what do held-out digits and the smear get?")))
out.append(C('''
size = run.pick(smoke=30, laptop=500, workstation=5_000)
data = features(run.to(known.draw(size, run.generator(10))[0]))
for name, images in sets.items():
    p = precision_recall(features(run.to(images[:size])), data)
    totals[name] += (p.precision, p.recall)
    print(f"{name:8s} precision {p.precision:.2f}, recall {p.recall:.2f}")
''',"nbval-ignore-output"))
out.append(M(open('/tmp/w/gan4/t_trunc.md').read()))
out.append(C('''
prediction_truncation = ...
''',"predict"))
out.append(C('''
limits = (4.0, 1.5, 1.0, 0.7, 0.5)
curves = {"shorter": [], "stretched": []}
for t in limits:
    z = truncated(size, LATENT, t, run.generator(11)).to(real)
    for name, factor in (("shorter", 1.0), ("stretched", 1 / z.std())):
        with torch.no_grad():
            drawn_so = shipped(factor * z).clamp(-1, 1)
        curves[name].append(precision_recall(features(drawn_so), data))
for name, curve in curves.items():
    for t, p in zip(limits, curve, strict=True):
        print(f"{name:10s} t = {t}: {p.precision:.2f}, {p.recall:.2f}")
''',"nbval-ignore-output"))
out.append(C('''
ends = [curves["shorter"][0], curves["shorter"][-1]]
moves = [value for p in ends for value in (p.precision, p.recall)]
text = "precision {0:.2f} → {2:.2f}, recall {1:.2f} → {3:.2f}"
predicted(prediction_truncation, text.format(*moves))
''',"hide-input","nbval-ignore-output"))
out.append(C('''
figure, axes = plt.subplots(1, 2, figsize=(6.8, 2.8), sharey=True)
for ax, name in zip(axes, ("precision", "recall"), strict=True):
    for kind, color in (("shorter", BLUE), ("stretched", ORANGE)):
        values = [getattr(p, name) for p in curves[kind]]
        ax.plot(limits, values, "o-", color=color, label=kind)
    ax.set(xlabel="limit t", ylabel=name, ylim=(0, 1.05))
axes[0].legend()
figure.tight_layout()
plt.show()
''',"hide-input",fig="fig-gan-truncation",cap="Precision and recall of pictures from truncated noise: as it is, which is shorter, and stretched back to the length of before.",alt=ALTTRUNC))
out.append(C('''
with torch.no_grad():
    rows = [
        shipped(truncated(12, LATENT, t, run.generator(13)).to(real))
        for t in (4.0, 1.0, 0.6)
    ]
show_images(torch.cat(rows).cpu(), 12, rows=["all", "t = 1", "t = 0.6"])
''',"hide-input",fig="fig-gan-truncated",cap="The same generator without truncation, with t = 1 and with t = 0.6. A column is one draw, squeezed.",alt=ALTTRUNCATED))
exec(open('/tmp/w/gan4/c_trunc.py').read())
out.append(M(open('/tmp/w/gan4/t_walk.md').read()))
out.append(C('''
a, b = randn((2, 2, LATENT), run.generator(14))
shares = torch.linspace(0, 1, 10)[:, None]
steps = [walk(*pair, 10) for pair in zip(a, b, strict=True)]
steps += [(1 - shares) * a[0] + shares * b[0]]
with torch.no_grad():
    film = shipped(torch.cat(steps).to(real))
show_images(film.cpu(), 10, rows=["circle", "circle", "straight"])
''',"hide-input",fig="fig-gan-walk",cap="Walks from the picture at the left to the one at the right: two along the great circle, and between the ends of the first along the straight line.",alt="Three rows of ten colour pictures; within a row each differs a little from the one before, and the last is another stack of digits than the first. The last row begins and ends as the first."))
out.append(M(open('/tmp/w/gan4/t_end.md').read()))
for i,c in enumerate(out): c["id"]=f"cell-{i:02d}"
nb.cells=out
nbformat.write(nb,'/work/gan/book/3_06_image/gan.ipynb')
