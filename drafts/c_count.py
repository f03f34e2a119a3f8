out.append(C('''
claim(
    "3.6-gan-f",
    "The shipped generator draws at least 990 of the 1,000 modes at a "
    "divergence below 0.15 nats. Its distance is less than a quarter of the "
    "smear's, and more than three times that of held-out digits.",
    totals["drawn"][0] >= 990
    and totals["drawn"][1] < 0.15
    and totals["drawn"][2] < 0.25 * totals["smear"][2]
    and totals["drawn"][2] > 3 * totals["held-out"][2],
)
''',claim=True))
out.append(C('''
for name, key in (("drawn", ""), ("held-out", "-held"), ("smear", "-smear")):
    glue(f"gan-distance{key}", totals[name][2], "{:.0f}")
    glue(f"gan-sure{key}", totals[name][3], "{:.0%}")
glue("gan-found", totals["drawn"][0], "{:.0f}")
glue("gan-kl-drawn", totals["drawn"][1], "{:.2f}")
''',"remove-input","nbval-ignore-output"))
