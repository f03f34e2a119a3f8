// Displayed formulas that are wider than the column shrink to fit it, down to seven tenths; a wider one scrolls.
const SMALLEST = 0.7;

function fit() {
  for (const block of document.querySelectorAll("div.math")) {
    const formula = block.querySelector("mjx-container");
    const content = formula && formula.querySelector("mjx-math");
    if (!content) continue;
    formula.style.fontSize = "";
    const size = parseFloat(getComputedStyle(formula).fontSize);
    const share = formula.clientWidth / (content.getBoundingClientRect().width + 4);
    if (share < 1) formula.style.fontSize = `${Math.max(share, SMALLEST) * size}px`;
  }
}

window.addEventListener("load", () => {
  window.MathJax?.startup?.promise?.then(fit); // a page without a formula loads no MathJax
  window.addEventListener("resize", fit);
});
