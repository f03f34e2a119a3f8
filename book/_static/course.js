// Displayed formulas that are wider than the column shrink to fit it, down to seven tenths of the text; a wider one scrolls.
const SMALLEST = 0.7;

function fit() {
  for (const block of document.querySelectorAll("div.math")) {
    const formula = block.querySelector("mjx-container");
    const content = formula && formula.querySelector("mjx-math");
    if (!content) continue;
    formula.dataset.size ??= formula.style.fontSize; // MathJax's own, which suits it to the letters around it
    formula.style.fontSize = formula.dataset.size;
    const [size, text] = [formula, block].map((one) => parseFloat(getComputedStyle(one).fontSize));
    const share = formula.clientWidth / (content.getBoundingClientRect().width + 4);
    if (share < 1) formula.style.fontSize = `${Math.max(share * size, SMALLEST * text)}px`;
    formula.classList.toggle("scrolls", formula.scrollWidth > formula.clientWidth + 1);
  }
}

window.addEventListener("load", () => {
  window.MathJax?.startup?.promise?.then(fit); // a page without a formula loads no MathJax
  window.addEventListener("resize", fit);
});
