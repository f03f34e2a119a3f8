out.append(C('''
glue("gan-recall", totals["drawn"][-1], "{:.2f}")
glue("gan-recall-smear", totals["smear"][-1], "{:.2f}")
glue("gan-recall-held", totals["held-out"][-1], "{:.2f}")
cost = curves["shorter"][0].recall - curves["stretched"][-1].recall
glue("gan-recall-cost", cost, "{:.2f}")
''',"remove-input","nbval-ignore-output"))
out.append(C('''
short, long = curves["shorter"], curves["stretched"]
claim(
    "3.6-gan-g",
    "Held-out digits and the smear have precision above 0.85 alike; the "
    "smear's recall is below 0.1, the generator's at least five times it. "
    "At t = 0.5 shorter noise leaves less than a tenth of both; stretched, "
    "precision is within 0.06 and recall within 0.15 of what they were.",
    min(totals["held-out"][-2], totals["smear"][-2]) > 0.85
    and totals["smear"][-1] < 0.1
    and totals["drawn"][-1] > 5 * totals["smear"][-1]
    and short[-1].precision < 0.1 * short[0].precision
    and short[-1].recall < 0.1 * short[0].recall
    and abs(long[-1].precision - short[0].precision) < 0.06
    and abs(long[-1].recall - short[0].recall) < 0.15,
)
''',claim=True))
